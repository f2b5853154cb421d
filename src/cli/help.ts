import { type Command, commonOptions, type OptionSpec, optionName, placeholderOf, usageLine } from "./command.ts";
import { loadShown, type Verb } from "./commands/index.ts";
import { statusTexts } from "./exit.ts";

export const purpose = "throw-away root file systems, in milliseconds";

/** The help of a verb, of a group of them (`chroot`), or of all where `topic` is empty. */
export async function helpText(table: readonly Verb[], topic: string): Promise<string> {
  const verb = table.find(({ name }) => name === topic);
  if (verb !== undefined) return verbHelp(await verb.load());
  return overview(topic, await loadShown(table.filter(({ name }) => topic === "" || name.startsWith(`${topic} `))));
}

function overview(group: string, verbs: readonly Command[]): string {
  const examples = verbs.filter(({ name }) => name === "run" || group !== "").flatMap((verb) => verb.examples);
  return [
    `fallthru: ${purpose}`,
    "",
    `usage: fallthru ${group === "" ? "" : `${group} `}VERB [options] [OPERANDS]`,
    "",
    columns(verbs.map(({ name, summary }) => [name, summary])),
    "for example:",
    ...examples.map(({ line, does }) => `  ${line}\n      ${does}`),
    "",
    "fallthru VERB --help says more; so do fallthru(1) and fallthru-VERB(1)",
    "",
  ].join("\n");
}

function verbHelp(verb: Command): string {
  const operands = Object.entries(verb.operands).map(([name, { summary }]) => [name.toUpperCase(), summary] as const);
  const sections = [
    `fallthru ${verb.name}: ${verb.summary}`,
    `usage: ${usageLine(verb)}`,
    columns(operands).trimEnd(),
    `options:\n${columns([...optionLines(verb.options), ...optionLines(commonOptions)])}`.trimEnd(),
    `examples:\n${verb.examples.map(({ line, does }) => `  ${line}\n      ${does}\n`).join("")}`.trimEnd(),
    `exit status:\n${columns(exitsOf(verb))}`.trimEnd(),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

/** `-d, --directory DIR` and what it does. */
function optionLines(specs: Readonly<Record<string, OptionSpec>>): [string, string][] {
  return Object.entries(specs).map(([key, spec]) => {
    const short = spec.short === undefined ? "    " : `-${spec.short}, `;
    const value = placeholderOf(spec);
    const standard = "default" in spec ? ` (${spec.default} unless given)` : "";
    const often = spec.type === "strings" ? " (may be repeated)" : "";
    return [
      `${short}--${optionName(key)}${value === undefined ? "" : ` ${value}`}`,
      `${spec.summary}${often}${standard}`,
    ];
  });
}

/** A verb's exit statuses, in order: what all have, and its own. */
export function exitsOf(verb: Command): [string, string][] {
  const common = { 0: statusTexts[0] ?? "", 1: statusTexts[1] ?? "", 2: statusTexts[2] ?? "" };
  return Object.entries({ ...(verb.failureStatus === undefined ? common : {}), ...verb.exits });
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.min(30, Math.max(0, ...rows.map(([left]) => left.length)));
  const line = ([left, right]: readonly [string, string]) =>
    left.length > width ? `  ${left}\n  ${" ".repeat(width)}  ${right}\n` : `  ${left.padEnd(width)}  ${right}\n`;
  return rows.map(line).join("");
}
