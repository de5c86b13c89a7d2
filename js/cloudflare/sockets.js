/*
 * The module "cloudflare:sockets": importable; raw TCP does not leave this house.
 */
import { notSupported } from "../core/errors.js";

export function connect() {
  throw notSupported("connect() of cloudflare:sockets (TCP sockets)");
}

export function internalNewHttpClient() {
  throw notSupported("cloudflare:sockets");
}
