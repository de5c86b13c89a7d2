// Writes the counted part of docs/compatibility.md: `make compatibility`. What is between the marks is not written by hand.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { goldenFile, HERE, PROGRAMS } from "./run.mjs";

const page = join(HERE, "../../docs/compatibility.md");
const [BEGIN, END] = ["<!-- counted: begin -->", "<!-- counted: end -->"];
const differences = Object.entries(JSON.parse(readFileSync(join(HERE, "differences.json"), "utf8")));
const firstLine = (name) => readFileSync(join(HERE, "cases", `${name}.mjs`), "utf8").split("\n")[0].replace(/^\/\/ /, "");
const cell = (text) => text.replaceAll("|", "\\|");
const brief = (outcome) => { const text = JSON.stringify(outcome); return `\`${cell(text.length > 120 ? `${text.slice(0, 117)}…` : text)}\``; };

const programs = PROGRAMS.map((name) => {
  const total = Object.keys(JSON.parse(readFileSync(goldenFile(name), "utf8"))).length;
  return { name, total, different: differences.filter(([key]) => key.startsWith(`${name}: `)).length };
});
const sum = (key) => programs.reduce((all, one) => all + one[key], 0);

const counted = [
  `${sum("total")} cases, ${sum("different")} of them answered differently.`,
  "",
  "| program | cases | different | about |",
  "| --- | --- | --- | --- |",
  ...programs.map(({ name, total, different }) => `| \`${name}\` | ${total} | ${different} | ${cell(firstLine(name))} |`),
  ...table("intended", "Different on purpose"),
  ...table("gap", "Not built yet"),
];

function table(kind, title) {
  const rows = differences.filter(([, one]) => one.kind === kind);
  if (rows.length === 0) return [];
  return ["", `### ${title}`, "| case | workerd | Dormouse | why |", "| --- | --- | --- | --- |", ...rows.map(([key, { dormouse, reason }]) => {
    const [program, ...name] = key.split(": ");
    const golden = JSON.parse(readFileSync(goldenFile(program), "utf8"));
    return `| ${cell(key)} | ${brief(golden[name.join(": ")])} | ${brief(dormouse)} | ${cell(reason)} |`;
  })];
}

const text = readFileSync(page, "utf8");
const [before, after] = [text.slice(0, text.indexOf(BEGIN) + BEGIN.length), text.slice(text.indexOf(END))];
writeFileSync(page, `${before}\n${counted.join("\n")}\n${after}`);
