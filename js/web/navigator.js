/*
 * navigator: what workerd's navigator says.
 */
import { finish } from "./util.js";

export class Navigator {
  get userAgent() {
    return "Cloudflare-Workers";
  }
  get language() {
    return "en";
  }
  get languages() {
    return ["en"];
  }
  get hardwareConcurrency() {
    return 1;
  }
  get platform() {
    return "";
  }
  sendBeacon() {
    throw new TypeError("navigator.sendBeacon() is not supported by Dormouse.");
  }
}
finish(Navigator, "Navigator", 0);
