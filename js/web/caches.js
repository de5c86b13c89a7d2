/*
 * caches: the Cache API as a self-hosted workerd has it: the interface is there, no cache is behind it.
 */
import { needAwake } from "../core/host.js";
import { finish } from "./util.js";

const MADE = Symbol("made");

function absent() {
  needAwake();
  throw new Error("No Cache was configured");
}

export class Cache {
  constructor(made) {
    if (made !== MADE) throw new TypeError("Illegal constructor");
  }
  async match() {
    absent();
  }
  async put() {
    absent();
  }
  async delete() {
    absent();
  }
  async matchAll() {
    throw new Error("Cache.matchAll() is not implemented");
  }
  async add() {
    throw new Error("Cache.add() is not implemented");
  }
  async addAll() {
    throw new Error("Cache.addAll() is not implemented");
  }
  async keys() {
    throw new Error("Cache.keys() is not implemented");
  }
}
finish(Cache, "Cache", 0);

export class CacheStorage {
  #default;
  constructor(made) {
    if (made !== MADE) throw new TypeError("Illegal constructor");
    this.#default = new Cache(MADE);
  }
  get default() {
    return this.#default;
  }
  async open() {
    needAwake();
    return new Cache(MADE);
  }
  async match() {
    throw new Error("CacheStorage.match() is not implemented");
  }
  async has() {
    throw new Error("CacheStorage.has() is not implemented");
  }
  async delete() {
    throw new Error("CacheStorage.delete() is not implemented");
  }
  async keys() {
    throw new Error("CacheStorage.keys() is not implemented");
  }
}
finish(CacheStorage, "CacheStorage", 0);

export const makeCaches = () => new CacheStorage(MADE);
