/*
 * stream_sources: which streams are only a dress over a source of this library, so that whoever consumes one that nobody has touched can
 * take the source itself: `new Response(upstream.body)` and `request.body.pipeThrough(…)` then cost nothing per chunk in between.
 */
const sources = new WeakMap();

/* STREAM is fed by SOURCE alone. */
export function dress(stream, source) {
  sources.set(stream, source);
}

/* STREAM has begun to pull: from now on it holds chunks of its own. */
export function isPulled(stream) {
  sources.delete(stream);
}

/* The source of STREAM, which is locked from now on; undefined when it has none or is in use. */
export function takeSource(stream) {
  const source = sources.get(stream);
  if (source === undefined || stream.locked || stream._disturbed) return undefined;
  sources.delete(stream);
  stream.getReader();
  return source;
}

/* A source that has BYTES and nothing else. */
export class WholeSource {
  constructor(bytes) {
    this.bytes = bytes.byteLength > 0 ? bytes : undefined;
  }
  take() {
    const { bytes } = this;
    this.bytes = undefined;
    return bytes;
  }
  read() {
    return Promise.resolve(this.take());
  }
  cancel() {
    this.bytes = undefined;
    return Promise.resolve();
  }
}

/* SOURCE with the manners of a reader. */
export const sourceReader = (source) => ({
  async read() {
    const value = source.take?.() ?? await source.read();
    return { value, done: value === undefined };
  },
  async cancel(reason) {
    await source.cancel(reason);
  },
});
