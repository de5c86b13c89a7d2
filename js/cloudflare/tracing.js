/*
 * tracing: spans that record nothing. Code that traces itself runs as it does on a platform where tracing is off.
 */
class Span {
  get isTraced() {
    return false;
  }

  spanContext() {
    return { traceId: "0".repeat(32), spanId: "0".repeat(16), traceFlags: 0 };
  }

  setAttribute() {
    return this;
  }

  setAttributes() {
    return this;
  }

  recordException() {}

  updateName() {
    return this;
  }

  setStatus() {
    return this;
  }

  end() {}
}

const SILENT = new Span();

/* startActiveSpan(name, fn), (name, options, fn) */
function run(args) {
  const callback = args[args.length - 1];
  return typeof callback === "function" ? callback(SILENT) : SILENT;
}

class Tracing {
  enterSpan(...args) {
    return run(args);
  }

  startActiveSpan(...args) {
    return run(args);
  }

  startSpan() {
    return SILENT;
  }

  getActiveSpan() {
    return SILENT;
  }

  withActiveSpan(span, callback) {
    return callback();
  }
}

export const tracing = new Tracing();
