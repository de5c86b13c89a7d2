// errors — what the bundler says when something is wrong: file, line, column, sentence, code frame.
//
// A BuildError carries a list of plain objects {file, line, column, text, frame}; line and column count from 1,
// 0 means unknown. Nothing else leaves the bundler as a failure of the user's; other exceptions are our bugs.

export class BuildError extends Error {
  constructor(errors) {
    super(errors.map((e) => e.text).join("\n"));
    this.errors = errors;
  }
}

// A single failure without a place in a file.
export function fail(text, file = "") {
  return new BuildError([{ file, line: 0, column: 0, text, frame: "" }]);
}

// A failure at byte-less character OFFSET of SOURCE (the text of FILE).
export function failAt(text, file, source, offset, length = 1) {
  return new BuildError([placeAt(text, file, source, offset, length)]);
}

export function placeAt(text, file, source, offset, length = 1) {
  const before = source.slice(0, offset);
  const line = before.split("\n").length;
  const column = offset - (before.lastIndexOf("\n") + 1) + 1;
  return { file, line, column, text, frame: frameOf(source, line, column, length) };
}

// Two lines of context above, the line itself, and a marker below it.
export function frameOf(source, line, column, length = 1) {
  const lines = source.split("\n");
  const width = String(line).length;
  const out = [];
  for (let n = Math.max(1, line - 2); n <= line; n++)
    out.push(`${String(n).padStart(width + 2)} │ ${cut(lines[n - 1] ?? "")}`);
  if (column > 0 && column <= 200) {
    const room = Math.max(1, Math.min(length, (lines[line - 1] ?? "").length - column + 1));
    const pad = (lines[line - 1] ?? "").slice(0, column - 1).replace(/[^\t]/g, " ");
    out.push(`${" ".repeat(width + 2)} ╵ ${pad}${room > 1 ? "~".repeat(room) : "^"}`);
  }
  return out.join("\n");
}

function cut(text) {
  const clean = text.replace(/\r$/, "");
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean;
}

// esbuild's messages in our shape; paths relative to ROOT, which esbuild was given as its working folder.
export function fromEsbuild(messages) {
  return messages.map((m) => {
    const at = m.location;
    const notes = (m.notes ?? []).map((n) => n.text).filter(Boolean);
    const text = [m.text, ...notes].join("\n");
    if (!at) return { file: "", line: 0, column: 0, text, frame: "" };
    const lineText = cut(at.lineText ?? "");
    // esbuild's column and length are in UTF-8 bytes of the line.
    const bytes = Buffer.from(at.lineText ?? "", "utf8");
    const column = bytes.subarray(0, at.column).toString("utf8").length + 1;
    const length = Math.max(1, bytes.subarray(at.column, at.column + at.length).toString("utf8").length);
    const width = String(at.line).length + 2;
    const pad = lineText.slice(0, column - 1).replace(/[^\t]/g, " ");
    const mark = column <= 200 ? `\n${" ".repeat(width)} ╵ ${pad}${length > 1 ? "~".repeat(Math.min(length, 200)) : "^"}` : "";
    return { file: at.file, line: at.line, column, text, frame: `${String(at.line).padStart(width)} │ ${lineText}${mark}` };
  });
}
