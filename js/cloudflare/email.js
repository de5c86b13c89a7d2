/*
 * The module "cloudflare:email".
 */
import { badConstructor } from "../core/errors.js";

export class EmailMessage {
  constructor(from, to, raw) {
    if (from === undefined || to === undefined) throw badConstructor("EmailMessage", from === undefined ? 1 : 2, "string");
    Object.defineProperty(this, "from", { value: `${from}`, enumerable: true, configurable: true });
    Object.defineProperty(this, "to", { value: `${to}`, enumerable: true, configurable: true });
    Object.defineProperty(this, "raw", { value: raw, enumerable: true, configurable: true });
  }
}
