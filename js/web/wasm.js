/*
 * wasm: the engine has no WebAssembly; code that asks for it is told so.
 */
const TEXT = "WebAssembly is not available in Dormouse: agents run in an engine without it. Run such code in a workspace.";

function Module() {
  throw new Error(TEXT);
}
function Instance() {
  throw new Error(TEXT);
}
function Memory() {
  throw new Error(TEXT);
}
function Table() {
  throw new Error(TEXT);
}
function Global() {
  throw new Error(TEXT);
}

class CompileError extends Error {
  name = "CompileError";
}
class LinkError extends Error {
  name = "LinkError";
}
class RuntimeError extends Error {
  name = "RuntimeError";
}

const reject = () => Promise.reject(new CompileError(TEXT));

export const WebAssembly = Object.defineProperty({
  Module, Instance, Memory, Table, Global, CompileError, LinkError, RuntimeError,
  validate: () => false,
  compile: reject,
  instantiate: reject,
  compileStreaming: reject,
  instantiateStreaming: reject,
}, Symbol.toStringTag, { value: "WebAssembly", configurable: true });
