/*
 * base64: atob and btoa over the host's codec, with workerd's texts.
 */
import { host } from "../core/host.js";

const BAD_ATOB = "atob() called with invalid base64-encoded data. (Only whitespace, '+', '/', alphanumeric ASCII, and up to two " +
  "terminal '=' signs when the input data length is divisible by 4 are allowed.)";
const BAD_BTOA = "btoa() can only operate on characters in the Latin1 (ISO/IEC 8859-1) range.";

export function atob(text) {
  const bytes = host.atob(`${text}`);
  if (bytes === undefined) throw new DOMException(BAD_ATOB, "InvalidCharacterError");
  return bytes;
}

export function btoa(text) {
  const encoded = host.btoa(`${text}`);
  if (encoded === undefined) throw new DOMException(BAD_BTOA, "InvalidCharacterError");
  return encoded;
}
