/*
 * node:path: the POSIX rules; win32 fails on use, since nothing here has such paths.
 */
import { badType } from "./errors.js";

const needString = (value, name) => {
  if (typeof value !== "string") throw badType(name, "of type string", value);
};

/* Resolves "." and ".." in TEXT; ".." above the start stays when ALLOW_ABOVE. */
function normalizeParts(text, allowAbove) {
  const out = [];
  for (const part of text.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") out.push(part);
    else if (out.length > 0 && out[out.length - 1] !== "..") out.pop();
    else if (allowAbove) out.push("..");
  }
  return out.join("/");
}

export const sep = "/";
export const delimiter = ":";

export function isAbsolute(path) {
  needString(path, "path");
  return path.startsWith("/");
}

export function normalize(path) {
  needString(path, "path");
  if (path === "") return ".";
  const isRooted = path.startsWith("/");
  let text = normalizeParts(path, !isRooted);
  if (text === "" && !isRooted) text = ".";
  if (text !== "" && path.endsWith("/")) text += "/";
  return isRooted ? "/" + text : text;
}

export function join(...parts) {
  for (const part of parts) needString(part, "path");
  const text = parts.filter((part) => part !== "").join("/");
  return text === "" ? "." : normalize(text);
}

export function resolve(...parts) {
  let text = "";
  for (let i = parts.length - 1; i >= 0 && !text.startsWith("/"); i--) {
    needString(parts[i], `paths[${i}]`);
    if (parts[i] !== "") text = text === "" ? parts[i] : `${parts[i]}/${text}`;
  }
  return "/" + normalizeParts(text, false);
}

export function relative(from, to) {
  needString(from, "from");
  needString(to, "to");
  const a = resolve(from).split("/").filter(Boolean);
  const b = resolve(to).split("/").filter(Boolean);
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  return [...a.slice(same).map(() => ".."), ...b.slice(same)].join("/");
}

/* Where the last part of PATH starts and ends, without slashes behind it. */
function lastPart(path) {
  let end = path.length;
  while (end > 1 && path[end - 1] === "/") end--;
  if (end === 1 && path === "/".repeat(path.length)) return [end, end];
  return [path.lastIndexOf("/", end - 1) + 1, end];
}

export function dirname(path) {
  needString(path, "path");
  if (path === "") return ".";
  const isRooted = path.startsWith("/");
  let end = path.length - 1;
  while (end >= 1 && path[end] === "/") end--;
  while (end >= 1 && path[end] !== "/") end--;
  if (end <= 0) return isRooted ? "/" : ".";
  return isRooted && end === 1 ? "//" : path.slice(0, end);
}

export function basename(path, suffix) {
  needString(path, "path");
  if (suffix !== undefined) needString(suffix, "suffix");
  if (/^\/*$/.test(path)) return "";
  const [start, end] = lastPart(path);
  const name = path.slice(start, end);
  return suffix !== undefined && suffix !== "" && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

export function extname(path) {
  const name = basename(path);
  const dot = name.lastIndexOf(".");
  return dot <= 0 || name === ".." ? "" : name.slice(dot);
}

export function format(parts) {
  if (parts === null || typeof parts !== "object") throw badType("pathObject", "of type object", parts);
  const dir = parts.dir || parts.root;
  const ext = parts.ext ? (parts.ext.startsWith(".") ? parts.ext : "." + parts.ext) : "";
  const base = parts.base || `${parts.name || ""}${ext}`;
  if (!dir) return base;
  return dir === parts.root ? `${dir}${base}` : `${dir}/${base}`;
}

export function parse(path) {
  needString(path, "path");
  const root = path.startsWith("/") ? "/" : "";
  const base = basename(path);
  const ext = extname(path);
  const dir = base === "" ? root : lastPart(path)[0] === 0 ? "" : dirname(path);
  return { root, dir, base, ext, name: ext === "" ? base : base.slice(0, -ext.length) };
}

export const toNamespacedPath = (path) => path;
export function matchesGlob() {
  throw new Error("path.matchesGlob() is not implemented");
}

export const posix = {
  basename, delimiter, dirname, extname, format, isAbsolute, join, matchesGlob, normalize, parse, relative, resolve, sep, toNamespacedPath,
};
export const win32 = new Proxy({}, {
  get(_, name) {
    return () => {
      throw new Error(`path.win32.${String(name)}() is not implemented`);
    };
  },
});
posix.posix = posix;
posix.win32 = win32;

export default posix;
