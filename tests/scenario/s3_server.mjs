// s3_server — as much of S3 as a backup needs, in memory: GET (with Range), PUT, DELETE, ListObjectsV2 with small pages. It computes every
// signature itself (Signature Version 4) and refuses what does not match, most often in no more words than Ceph's radosgw does (a code, an empty
// message). It can be told to fail: see `moods`.
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { fileURLToPath } from "node:url";

export const KEYS = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", AWS_REGION: "eu-test-1" };
const PAGE = 7; // objects per listing: so that one listing takes several
const SKEW_MS_MAX = 15 * 60_000; // between the client's clock and the store's, as Amazon's and Ceph's

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const hmac = (key, data) => createHmac("sha256", key).update(data).digest();
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

/* What the Authorization header of REQUEST has to be; its body is BODY. */
export function signature({ method, url, headers }, body, secret) {
  const parts = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(headers.authorization ?? "");
  if (!parts) return { given: null };
  const [, id, day, region, service, signed, given] = parts;
  const [path, query = ""] = url.split("?");
  const canonicalQuery = query.split("&").filter(Boolean).map((pair) => pair.split("=").map((part) => encode(decodeURIComponent(part ?? "")))).map(([k, v = ""]) => `${k}=${v}`).sort().join("&");
  const canonicalPath = path.split("/").map((part) => encode(decodeURIComponent(part))).join("/");
  const canonicalHeaders = signed.split(";").map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, " ")}\n`).join("");
  const canonical = [method, canonicalPath, canonicalQuery, canonicalHeaders, signed, headers["x-amz-content-sha256"] ?? sha256(body)].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(canonical)].join("\n");
  const key = [day, region, service, "aws4_request"].reduce((k, part) => hmac(k, part), "AWS4" + secret);
  return { id, region, signed: signed.split(";"), given, wanted: createHmac("sha256", key).update(toSign).digest("hex"), date: headers["x-amz-date"] };
}

const parseDate = (date) => Date.parse(date?.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
const error = (code, message = "") => `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;

/* A certificate for 127.0.0.1 that nobody signed but itself. */
export const CERTIFICATE = fileURLToPath(new URL("tls/certificate.pem", import.meta.url));
const tls = () => ({ cert: readFileSync(CERTIFICATE), key: readFileSync(new URL("tls/key.pem", import.meta.url)) });

/* AHEADMS: how much its clock is ahead of ours. */
export async function startS3(t, { bucket = "vault", isSecure = false, aheadMs = 0 } = {}) {
  const objects = new Map(), log = [];
  // Asked before each answer; may give { status, code, message (Latin-1) }, { hangUp: true }, { hold: promise }, { cut: true } (half an answer),
  // { prefix } (a listing of what was not asked for), or nothing.
  const moods = { mood: () => undefined };
  const listener = async (req, res) => {
    const chunks = [];
    try { for await (const chunk of req) chunks.push(chunk); } catch { return; } // the client died
    const body = Buffer.concat(chunks);
    const { pathname, searchParams } = new URL(req.url, "http://x");
    const key = decodeURIComponent(pathname).slice(bucket.length + 2);
    const entry = { method: req.method, key, bytes: body.length, prefix: searchParams.get("prefix") };
    log.push(entry);
    const mood = (await moods.mood(entry)) ?? {};
    if (mood.hangUp) return req.socket.destroy();
    if (mood.hold) await mood.hold;
    const answer = (status, text = "", headers = {}) => { entry.status = status; res.writeHead(status, { "content-length": Buffer.byteLength(text), ...headers }); res.end(text); };
    if (mood.status) return answer(mood.status, Buffer.from(error(mood.code ?? "SlowDown", mood.message ?? "Please reduce your request rate."), "latin1"));
    const sign = signature(req, body, KEYS.AWS_SECRET_ACCESS_KEY);
    if (sign.given === null || sign.id !== KEYS.AWS_ACCESS_KEY_ID) return answer(403, error("InvalidAccessKeyId"));
    if (!(Math.abs(parseDate(sign.date) - Date.now() - aheadMs) < SKEW_MS_MAX)) return answer(403, error("RequestTimeTooSkewed"));
    if (sign.region !== KEYS.AWS_REGION) return answer(400, error("AuthorizationHeaderMalformed", `The authorization header is malformed; the region '${sign.region}' is wrong; expecting '${KEYS.AWS_REGION}'`)); // Amazon's; Ceph takes any
    if (sign.given !== sign.wanted) return answer(403, error("SignatureDoesNotMatch"));
    if (!["host", "x-amz-date", "x-amz-content-sha256"].every((name) => sign.signed.includes(name))) return answer(403, error("AccessDenied", "Headers must be signed."));
    if (req.headers["x-amz-content-sha256"] !== sha256(body)) return answer(400, error("XAmzContentSHA256Mismatch", "The body is not what was signed."));
    if (!decodeURIComponent(pathname).startsWith(`/${bucket}`)) return answer(404, error("NoSuchBucket"));
    if (req.method === "PUT") {
      objects.set(key, body);
      return answer(200);
    }
    if (req.method === "DELETE") {
      objects.delete(key);
      return answer(204);
    }
    if (searchParams.get("list-type") === "2") return answer(200, list(objects, mood.prefix ?? searchParams.get("prefix") ?? "", searchParams));
    const object = objects.get(key);
    if (!object) return answer(404, error("NoSuchKey", "The key does not exist."));
    const range = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? "");
    const part = range ? object.subarray(Number(range[1]), Number(range[2]) + 1) : object;
    entry.answered = part.length;
    if (mood.cut) {
      res.writeHead(200, { "content-length": part.length });
      res.write(part.subarray(0, part.length / 2), () => req.socket.destroy());
      return;
    }
    entry.status = range ? 206 : 200;
    res.writeHead(entry.status, { "content-length": part.length });
    res.end(part);
  };
  const server = isSecure ? createSecureServer(tls(), listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections?.(); server.close(); });
  return { objects, log, moods, bucket, endpoint: `http${isSecure ? "s" : ""}://127.0.0.1:${server.address().port}` };
}

function list(objects, prefix, query) {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix)).sort();
  const token = query.get("continuation-token"); // the last name of the page before, as Ceph's
  const from = token ? keys.findIndex((key) => key > token) : 0;
  const page = from < 0 ? [] : keys.slice(from, from + PAGE), isMore = from >= 0 && from + PAGE < keys.length;
  const byNumber = (c) => `&#x${c.codePointAt(0).toString(16).padStart(2, "0")};`; // Ceph: control characters; others more than that
  const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replace(/[\x00-\x1f\u{1f300}-\u{1f6ff}]/gu, byNumber);
  const contents = page.map((key) => `<Contents><Key>${escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>${objects.get(key).length}</Size></Contents>`).join("");
  const next = isMore ? `<NextContinuationToken>${escape(page.at(-1))}</NextContinuationToken>` : "";
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${isMore}</IsTruncated>${contents}${next}</ListBucketResult>`;
}
