// What fragments and agents share.
import { AsyncLocalStorage } from "node:async_hooks";

export const als = new AsyncLocalStorage();

// Pieces of programs: [name, function (p: the agent, r: chance) → what to put, or a promise of it].
export const fragments = [];
export const themes = {};              // name → fragments that half of a program with this theme is made of
export const add = (given, theme) => {
  const own = Object.entries(given);
  fragments.push(...own);
  if (theme !== undefined) (themes[theme] ??= []).push(...own);
};

export function chance(seed) {
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

// Of long texts only some: a hash must not cost more than what is tested.
export const hash = (text, from = 7) => {
  let h = from + text.length;
  const step = text.length < 300 ? 1 : Math.ceil(text.length / 150);
  for (let i = 0; i < text.length; i += step) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0;
  return h;
};
export const short = (text) => (text.length < 80 ? text : `${text.slice(0, 20)}…${text.length}#${hash(text)}`);
export const pick = (r, list) => list[r(list.length)];
export const word = (r) => String.fromCharCode(97 + r(26), 97 + r(26), r(9) === 0 ? 0x263a : 48 + r(10));
export const told = (e) => (e instanceof Error ? `${e.name}: ${e.message}` : String(e));
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const bytesOf = (text) => new TextEncoder().encode(text);
