import { writeFileSync } from "node:fs";
import type { Command } from "./command.ts";
import { loadShown } from "./commands/index.ts";
import { statusTexts, statusOf } from "./exit.ts";

/** docs/json.md: what --json prints, from the verbs' declarations. */
export async function jsonPage(): Promise<string> {
  const shown = await loadShown();
  const codes = Object.entries(statusOf).map(
    ([code, status]) => `| \`${code}\` | ${status} | ${statusTexts[status] ?? ""} |`,
  );
  return [
    "# JSON output",
    "",
    "<!-- Written by `bun src/cli/json-page.ts docs/json.md` from the verbs' own declarations; a test compares them. -->",
    "",
    "With `--json` a verb prints one JSON document on standard output, or nothing where it failed. What is described here",
    "stays: fields may be added, none is removed, renamed or given another meaning. A `?` behind a type says that the field",
    "may be absent. Sizes are bytes; other units are in a field's name.",
    "",
    "## Errors",
    "",
    "An error is one line on standard error, with every verb, and the exit status is the same as without `--json`:",
    "",
    "```",
    '{"error":{"code":"not-found","message":"no session fix","hint":"it may have ended already; what there is: fallthru list"}}',
    "```",
    "",
    "`hint` may be absent. A verb that takes several operands prints a line for each that failed, and its document on standard",
    "output holds the others. With `run` the status is 125 whatever the code is, or 126 or 127 where",
    "it is the command that can't be run; standard output is the command's.",
    "",
    "| code | exit status | |",
    "|---|---|---|",
    ...codes,
    "| `bug` | 1 | nobody expected it: please report it |",
    ...shown.flatMap(section),
    "",
  ].join("\n");
}

function section({ name, json }: Command): string[] {
  const rows = json.map(({ name: field, type, summary }) => `| \`${field}\` | ${type} | ${summary} |`);
  return ["", `## fallthru ${name}`, "", "| field | type | |", "|---|---|---|", ...rows];
}

const [file] = process.argv.slice(2);
if (import.meta.main && file !== undefined) writeFileSync(file, await jsonPage());
