// dotenv — .dev.vars and .env files: NAME=value lines, quotes, comments, values over several lines in quotes.
//
// The rules are those of npm `dotenv`, which wrangler uses: an unquoted "#" begins a comment; in double quotes \n and \r, and
// nothing else, are escapes. Unlike there, a line that is no assignment is an error: it is a typing mistake.

import fs from "node:fs";
import { failAt } from "./errors.mjs";

const LINE = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*("(?:\\[\s\S]|[^"\\])*"|'[^']*'|`[^`]*`|[^\r\n]*?)?[ \t]*(?:#[^\r\n]*)?$/gm;

export function readDotenv(file, shown) {
  return parseDotenv(fs.readFileSync(file, "utf8").replace(/^\uFEFF/, ""), shown);
}

export function parseDotenv(source, shown) {
  const text = source.replace(/\r\n?/g, "\n");
  const out = {};
  let end = 0;
  LINE.lastIndex = 0;
  for (let m = LINE.exec(text); m !== null; m = LINE.exec(text)) {
    refuseRest(text, end, m.index, shown);
    end = m.index + m[0].length;
    out[m[1]] = valueOf((m[2] ?? "").trim());
    if (m[0] === "") LINE.lastIndex++;
  }
  refuseRest(text, end, text.length, shown);
  return out;
}

function valueOf(written) {
  const quote = written[0];
  const quoted = written.length > 1 && written.endsWith(quote);
  if (quoted && quote === '"') return written.slice(1, -1).replace(/\\n/g, "\n").replace(/\\r/g, "\r");
  if (quoted && (quote === "'" || quote === "`")) return written.slice(1, -1);
  return written;
}

// What lies between two assignments may be blank lines and comments only.
function refuseRest(text, from, to, shown) {
  let at = from;
  for (const line of text.slice(from, to).split("\n")) {
    const bare = line.trim();
    if (bare !== "" && !bare.startsWith("#")) throw failAt("Not a NAME=value line.", shown, text, at + line.indexOf(bare), bare.length);
    at += line.length + 1;
  }
}
