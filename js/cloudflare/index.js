/*
 * The modules of the platform, by specifier, as host.install() wants them.
 */
import * as email from "./email.js";
import * as sockets from "./sockets.js";
import * as workers from "./workers.js";
import * as workflows from "./workflows.js";

export const cloudflareModules = {
  "cloudflare:email": { ...email },
  "cloudflare:sockets": { ...sockets },
  "cloudflare:workers": { ...workers },
  "cloudflare:workflows": { ...workflows },
};
