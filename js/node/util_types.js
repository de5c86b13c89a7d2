/*
 * util_types: node:util/types. Brand checks by trying a method of the brand; what the engine hides (proxies) is false.
 */
const TypedArray = Object.getPrototypeOf(Uint8Array);
const tagOf = Object.getOwnPropertyDescriptor(TypedArray.prototype, Symbol.toStringTag).get;
const isObject = (value) => typeof value === "object" && value !== null;

/* A check that CALL(value) does not throw. */
const brand = (call) => (value) => {
  if (!isObject(value)) return false;
  try {
    call(value);
    return true;
  } catch {
    return false;
  }
};

const getter = (klass, name) => {
  const { get } = Object.getOwnPropertyDescriptor(klass.prototype, name);
  return brand((value) => get.call(value));
};
const typed = (name) => (value) => isObject(value) && ArrayBuffer.isView(value) && tagOf.call(value) === name;
const kind = (sample) => {
  const proto = Object.getPrototypeOf(sample);
  return (value) => typeof value === "function" && (Object.getPrototypeOf(value) === proto || proto.isPrototypeOf(value));
};

const isDate = brand((value) => Date.prototype.getTime.call(value));
const isRegExp = brand((value) => {
  if (!(value instanceof RegExp) || value === RegExp.prototype) throw new TypeError("not a regular expression");
});
const isNumberObject = brand((value) => Number.prototype.valueOf.call(value));
const isStringObject = brand((value) => String.prototype.valueOf.call(value));
const isBooleanObject = brand((value) => Boolean.prototype.valueOf.call(value));
const isBigIntObject = brand((value) => BigInt.prototype.valueOf.call(value));
const isSymbolObject = brand((value) => Symbol.prototype.valueOf.call(value));
const isAsyncFunction = kind(async () => {});
const isAsyncGenerator = kind(async function* () {});
const isGenerator = kind(function* () {});
const isArrayBuffer = getter(ArrayBuffer, "byteLength");
const isSharedArrayBuffer = typeof SharedArrayBuffer === "function" ? getter(SharedArrayBuffer, "byteLength") : () => false;
const tagIs = (tag) => (value) => isObject(value) && Object.prototype.toString.call(value) === `[object ${tag}]`;

export const types = {
  isAnyArrayBuffer: (value) => isArrayBuffer(value) || isSharedArrayBuffer(value),
  isArgumentsObject: tagIs("Arguments"),
  isArrayBuffer,
  isArrayBufferView: ArrayBuffer.isView,
  isAsyncFunction: (value) => isAsyncFunction(value) || isAsyncGenerator(value),
  isBigInt64Array: typed("BigInt64Array"),
  isBigIntObject,
  isBigUint64Array: typed("BigUint64Array"),
  isBooleanObject,
  isBoxedPrimitive: (value) => isNumberObject(value) || isStringObject(value) || isBooleanObject(value) || isBigIntObject(value) || isSymbolObject(value),
  isCryptoKey: (value) => typeof CryptoKey === "function" && value instanceof CryptoKey,
  isDataView: (value) => ArrayBuffer.isView(value) && tagOf.call(value) === undefined,
  isDate,
  isExternal: () => false,
  isFloat32Array: typed("Float32Array"),
  isFloat64Array: typed("Float64Array"),
  isGeneratorFunction: (value) => isGenerator(value) || isAsyncGenerator(value),
  isGeneratorObject: (value) => tagIs("Generator")(value) || tagIs("AsyncGenerator")(value),
  isInt16Array: typed("Int16Array"),
  isInt32Array: typed("Int32Array"),
  isInt8Array: typed("Int8Array"),
  isKeyObject: () => false,
  isMap: getter(Map, "size"),
  isMapIterator: tagIs("Map Iterator"),
  isModuleNamespaceObject: tagIs("Module"),
  isNativeError: (value) => value instanceof Error && Object.prototype.toString.call(value) === "[object Error]",
  isNumberObject,
  isPromise: (value) => value instanceof Promise,
  isProxy: () => false,
  isRegExp,
  isSet: getter(Set, "size"),
  isSetIterator: tagIs("Set Iterator"),
  isSharedArrayBuffer,
  isStringObject,
  isSymbolObject,
  isTypedArray: (value) => ArrayBuffer.isView(value) && tagOf.call(value) !== undefined,
  isUint16Array: typed("Uint16Array"),
  isUint32Array: typed("Uint32Array"),
  isUint8Array: typed("Uint8Array"),
  isUint8ClampedArray: typed("Uint8ClampedArray"),
  isWeakMap: (value) => value instanceof WeakMap,
  isWeakSet: (value) => value instanceof WeakSet,
};
export default types;
