/*
 * compression: CompressionStream and DecompressionStream over the host's deflate.
 *
 * Natives (docs/host-interface.md): deflateOpen(mode, format) → id; deflatePush(id, bytes, isLast) → ArrayBuffer (throws TypeError on
 * bad input); deflateClose(id). A host without them makes the constructors fail, clearly.
 */
import { host } from "../core/host.js";
import { TransformStream } from "./streams.js";
import { bytesOf, finish } from "./util.js";

const FORMATS = ["deflate", "deflate-raw", "gzip"];
const COMPRESS = 0;
const DECOMPRESS = 1;

function open(mode, format, name) {
  if (!FORMATS.includes(format)) throw new TypeError("The compression format must be either 'deflate', 'deflate-raw' or 'gzip'.");
  if (typeof host.deflateOpen !== "function") throw new DOMException(`${name} is not available in this version of Dormouse.`, "NotSupportedError");
  return host.deflateOpen(mode, format);
}

/* The transformer that pushes bytes through the host's state ID. */
function transformer(id) {
  let isOpen = true;
  const close = () => {
    if (isOpen) host.deflateClose(id);
    isOpen = false;
  };
  const push = (bytes, isLast, controller) => {
    try {
      const out = host.deflatePush(id, bytes, isLast);
      if (out.byteLength > 0) controller.enqueue(new Uint8Array(out));
    } catch (error) {
      close();
      throw error;
    }
  };
  return {
    transform(chunk, controller) {
      const bytes = bytesOf(chunk);
      if (bytes === undefined) throw new TypeError("Chunks of a compression stream must be ArrayBuffers or views of them.");
      push(bytes, false, controller);
    },
    flush(controller) {
      push(new Uint8Array(0), true, controller);
      close();
    },
    cancel: close,
  };
}

export class CompressionStream extends TransformStream {
  constructor(format) {
    super(transformer(open(COMPRESS, `${format}`, "CompressionStream")));
  }
}
finish(CompressionStream, "CompressionStream", 1);

export class DecompressionStream extends TransformStream {
  constructor(format) {
    super(transformer(open(DECOMPRESS, `${format}`, "DecompressionStream")));
  }
}
finish(DecompressionStream, "DecompressionStream", 1);
