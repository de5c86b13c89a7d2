/*
 * index: the Node modules that apps may import, for host.install(). Those that an agent cannot have (files, sockets, processes) can be
 * imported and fail, clearly, when used.
 *
 * The web's globals exist only after installWeb(): what needs them is built when a module is read.
 */
import { host } from "../core/host.js";
import * as assert from "./assert.js";
import * as asyncHooks from "./async_hooks.js";
import * as buffer from "./buffer.js";
import { cryptoModule } from "./crypto.js";
import * as diagnosticsChannel from "./diagnostics_channel.js";
import { absentModule } from "./errors.js";
import * as events from "./events.js";
import * as os from "./os.js";
import * as path from "./path.js";
import * as process from "./process.js";
import { setBuiltins } from "./process.js";
import * as querystring from "./querystring.js";
import * as stream from "./stream.js";
import * as stringDecoder from "./string_decoder.js";
import * as timers from "./timers.js";
import * as url from "./url.js";
import * as util from "./util.js";
import { zlibModule } from "./zlib.js";

/* A namespace as a plain object whose keys the host turns into exports. */
const exportsOf = (namespace) => ({ ...namespace });
const withDefault = (object) => ({ ...object, default: object });

const ABSENT = {
  "child_process": ["exec", "execFile", "execFileSync", "execSync", "fork", "spawn", "spawnSync", "ChildProcess"],
  "cluster": ["fork", "setupPrimary", "disconnect"],
  "dgram": ["createSocket", "Socket"],
  "dns": ["lookup", "resolve", "resolve4", "resolve6", "resolveTxt", "resolveMx", "resolveSrv", "reverse", "Resolver", "setServers", "getServers"],
  "dns/promises": ["lookup", "resolve", "resolve4", "resolve6", "resolveTxt", "resolveMx", "resolveSrv", "reverse", "Resolver"],
  "domain": ["create", "createDomain", "Domain"],
  "fs": [
    "access", "accessSync", "appendFile", "appendFileSync", "chmod", "chmodSync", "close", "closeSync", "copyFile", "copyFileSync", "cp",
    "createReadStream", "createWriteStream", "existsSync", "fstat", "fstatSync", "lstat", "lstatSync", "mkdir", "mkdirSync", "mkdtemp",
    "mkdtempSync", "open", "openSync", "opendir", "read", "readdir", "readdirSync", "readFile", "readFileSync", "readlink", "readlinkSync",
    "readSync", "realpath", "realpathSync", "rename", "renameSync", "rm", "rmdir", "rmdirSync", "rmSync", "stat", "statSync", "symlink",
    "symlinkSync", "truncate", "unlink", "unlinkSync", "unwatchFile", "utimes", "watch", "watchFile", "write", "writeFile", "writeFileSync",
    "writeSync", "ReadStream", "WriteStream", "Stats", "Dirent",
  ],
  "fs/promises": [
    "access", "appendFile", "chmod", "copyFile", "cp", "lstat", "mkdir", "mkdtemp", "open", "opendir", "readdir", "readFile", "readlink",
    "realpath", "rename", "rm", "rmdir", "stat", "symlink", "truncate", "unlink", "utimes", "watch", "writeFile",
  ],
  "http": ["createServer", "get", "request", "Agent", "ClientRequest", "IncomingMessage", "OutgoingMessage", "Server", "ServerResponse"],
  "http2": ["connect", "createServer", "createSecureServer"],
  "https": ["createServer", "get", "request", "Agent", "Server"],
  "inspector": ["open", "close", "url", "Session"],
  "module": ["createRequire", "register", "findPackageJSON"],
  "net": ["connect", "createConnection", "createServer", "Server", "Socket", "BlockList"],
  "readline": ["createInterface", "clearLine", "cursorTo", "Interface"],
  "readline/promises": ["createInterface", "Interface"],
  "repl": ["start", "REPLServer"],
  "sqlite": ["DatabaseSync", "StatementSync"],
  "tls": ["connect", "createServer", "createSecureContext", "TLSSocket", "Server", "checkServerIdentity"],
  "trace_events": ["createTracing"],
  "tty": ["ReadStream", "WriteStream"],
  "v8": ["deserialize", "getHeapStatistics", "serialize", "setFlagsFromString", "writeHeapSnapshot"],
  "vm": ["createContext", "runInContext", "runInNewContext", "runInThisContext", "Script", "SourceTextModule"],
  "wasi": ["WASI"],
  "worker_threads": ["Worker", "MessageChannel", "MessagePort", "BroadcastChannel", "receiveMessageOnPort"],
};

/* Answers that modules without substance can still give. */
const FACTS = {
  "child_process": {},
  "cluster": { isPrimary: true, isMaster: true, isWorker: false },
  "fs": { constants: Object.freeze({ F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 }), existsSync: () => false },
  "fs/promises": { constants: Object.freeze({ F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 }) },
  "http": { METHODS: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"], STATUS_CODES: {}, globalAgent: {} },
  "https": { globalAgent: {} },
  "module": { builtinModules: [], isBuiltin: (name) => find(name) !== undefined },
  "net": {
    isIP: (text) => (isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0), isIPv4: (text) => isIPv4(text), isIPv6: (text) => isIPv6(text),
  },
  "tls": { DEFAULT_MIN_VERSION: "TLSv1.2", DEFAULT_MAX_VERSION: "TLSv1.3", rootCertificates: [] },
  "tty": { isatty: () => false },
  "worker_threads": { isMainThread: true, parentPort: null, threadId: 0, workerData: null },
};

const isIPv4 = (text) => /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(`${text}`);
function isIPv6(text) {
  if (!/^[\da-fA-F:.]+$/.test(`${text}`) || !`${text}`.includes(":")) return false;
  return host.urlParse(`http://[${text}]/`, undefined) !== undefined;
}

function perfHooks() {
  const { performance, PerformanceEntry, PerformanceMark, PerformanceMeasure } = globalThis;
  return withDefault({
    performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, constants: Object.freeze({}), monitorEventLoopDelay: () => ({ enable() {}, disable() {} }),
  });
}

function streamWeb() {
  const names = ["ByteLengthQueuingStrategy", "CompressionStream", "CountQueuingStrategy", "DecompressionStream", "ReadableByteStreamController",
    "ReadableStream", "ReadableStreamBYOBReader", "ReadableStreamBYOBRequest", "ReadableStreamDefaultController", "ReadableStreamDefaultReader",
    "TextDecoderStream", "TextEncoderStream", "TransformStream", "TransformStreamDefaultController", "WritableStream",
    "WritableStreamDefaultController", "WritableStreamDefaultWriter"];
  return withDefault(Object.fromEntries(names.map((name) => [name, globalThis[name]])));
}

async function readAll(source) {
  const chunks = [];
  for await (const chunk of source) chunks.push(typeof chunk === "string" ? buffer.Buffer.from(chunk) : chunk);
  return buffer.Buffer.concat(chunks);
}
const consumers = {
  arrayBuffer: async (source) => new Uint8Array(await readAll(source)).buffer,
  buffer: readAll,
  json: async (source) => JSON.parse((await readAll(source)).toString()),
  text: async (source) => (await readAll(source)).toString(),
  blob: async (source) => new buffer.Blob([await readAll(source)]),
};

/* Modules that need the globals are made when they are read first. */
const made = new Map();
const MAKERS = {
  "assert": () => exportsOf(assert),
  "assert/strict": () => ({ ...exportsOf(assert.strict), default: assert.strict }),
  "async_hooks": () => exportsOf(asyncHooks),
  "buffer": () => exportsOf(buffer),
  "console": () => withDefault(globalThis.console),
  "constants": () => withDefault({}),
  "crypto": cryptoModule,
  "diagnostics_channel": () => exportsOf(diagnosticsChannel),
  "events": () => exportsOf(events),
  "os": () => exportsOf(os),
  "path": () => exportsOf(path),
  "path/posix": () => exportsOf(path),
  "path/win32": () => ({ default: path.win32 }),
  "perf_hooks": perfHooks,
  "process": () => ({ ...process.process, default: process.process }),
  "punycode": () => withDefault({ toASCII: (text) => host.domainToASCII(text), toUnicode: (text) => text, ucs2: {}, version: "2.1.0" }),
  "querystring": () => exportsOf(querystring),
  "stream": () => exportsOf(stream),
  "stream/consumers": () => withDefault(consumers),
  "stream/promises": () => withDefault(stream.promises),
  "stream/web": streamWeb,
  "string_decoder": () => exportsOf(stringDecoder),
  "sys": () => exportsOf(util),
  "timers": () => exportsOf(timers),
  "timers/promises": () => withDefault(timers.promises),
  "url": () => exportsOf(url),
  "util": () => exportsOf(util),
  "util/types": () => withDefault(util.types),
  "zlib": zlibModule,
};
for (const name of Object.keys(ABSENT))
  MAKERS[name] = () => {
    const absent = absentModule(`node:${name}`, ABSENT[name]);
    const facts = FACTS[name] ?? {};
    return { ...absent, ...facts, default: { ...absent.default, ...facts } };
  };

function find(name) {
  const bare = name.startsWith("node:") ? name.slice(5) : name;
  if (!Object.hasOwn(MAKERS, bare)) return undefined;
  if (!made.has(bare)) made.set(bare, MAKERS[bare]());
  return made.get(bare);
}
FACTS.module.builtinModules = Object.keys(MAKERS);
FACTS.module.createRequire = () => (name) => {
  const found = find(name);
  if (found === undefined) throw new Error(`Cannot find module '${name}'`);
  return found.default ?? found;
};
setBuiltins((name) => find(name)?.default);

/* For host.install(): every module under its `node:` name. Reading a property makes the module. */
export const modules = {};
for (const name of Object.keys(MAKERS))
  Object.defineProperty(modules, `node:${name}`, { get: () => find(name), enumerable: true, configurable: true });

/* The globals that nodejs_compat adds. */
export const nodeGlobals = { Buffer: buffer.Buffer, process: process.process };
export { setProcessEnv } from "./process.js";
