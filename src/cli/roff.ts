import { type Command, commonOptions, type OptionSpec, optionName, placeholderOf } from "./command.ts";
import { releaseDate, programVersion } from "./commands/version.ts";
import { statusTexts } from "./exit.ts";
import { exitsOf, purpose } from "./help.ts";

/** The page of one verb, in man(7)'s macros: fallthru-chroot-create(1). */
export function verbPage(verb: Command): string {
  const title = pageName(verb);
  const blocks = [
    header(title, verb.summary),
    ".SH SYNOPSIS",
    synopsis(verb),
    ".SH DESCRIPTION",
    ...paragraphs(verb.description ?? [`${capital(verb.summary)}.`]),
    ...operandBlocks(verb),
    ".SH OPTIONS",
    ...optionBlocks(verb.options),
    ...optionBlocks(commonOptions),
    ".SH EXIT STATUS",
    ...exitsOf(verb).map(([status, text]) => tagged(bold(status), `${capital(text)}.`)),
    ".SH EXAMPLES",
    ...exampleBlocks(verb),
    ".SH SEE ALSO",
    reference("fallthru"),
  ];
  return `${blocks.join("\n")}\n`;
}

/** The page of the program: fallthru(1). */
export function programPage(verbs: readonly Command[]): string {
  const blocks = [
    header("fallthru", purpose),
    ".SH SYNOPSIS",
    `${bold("fallthru")} ${italic("VERB")} [${italic("options")}] [${italic("operands")}]`,
    ".SH DESCRIPTION",
    ...paragraphs([
      "Fallthru gives every login and every build its own throw-away copy of a root file system, on a union mount: what is changed stays in a private upper layer, what is not changed falls through to the shared layers below. Afterwards the changes are dropped.",
      "Each verb has a page of its own. Options stand behind the verb, in any order.",
    ]),
    ".SH VERBS",
    ...verbs.map((verb) => tagged(reference(pageName(verb)), `${capital(verb.summary)}.`)),
    ".SH OPTIONS",
    plain("Every verb has these."),
    ...optionBlocks(commonOptions),
    tagged(bold("--version"), "Print the version."),
    ".SH EXIT STATUS",
    plain("Of every verb but run, whose status is that of the command that it runs:"),
    ...Object.entries(statusTexts).map(([status, text]) => tagged(bold(status), `${capital(text)}.`)),
    ".SH ENVIRONMENT",
    tagged(bold("NO_COLOR"), "Where it is set to anything, errors have no colour."),
    tagged(bold("FALLTHRU_DEBUG"), "Where it is set to anything, an error that nobody expected shows where it arose."),
    tagged(bold("FALLTHRU_SESSION"), "Is set inside a session, to its id."),
    ".SH FILES",
    tagged(italic("/etc/schroot/schroot.conf"), "and"),
    tagged(italic("/etc/schroot/chroot.d/"), "The chroots, in schroot's own format; see schroot.conf(5)."),
    tagged(
      italic("/var/lib/fallthru/"),
      "The sessions' records and changes, and the roots that chroot create and chroot import made.",
    ),
    tagged(italic("/run/fallthru/mount/"), "The sessions' mounts."),
    ".SH EXAMPLES",
    ...verbs.slice(0, 1).flatMap(exampleBlocks),
    ".SH SEE ALSO",
    [...verbs.map(pageName).map(reference), reference("schroot.conf", 5), reference("namespaces", 7)].join(",\n"),
  ];
  return `${blocks.join("\n")}\n`;
}

/** `fallthru-chroot-create` */
export function pageName(verb: Command): string {
  return `fallthru-${verb.name.replace(" ", "-")}`;
}

function header(title: string, summary: string): string {
  const heading = `.TH ${title.toUpperCase().replaceAll("-", "\\-")} 1 ${releaseDate} "fallthru ${programVersion}" "Fallthru"`;
  return `${heading}\n.SH NAME\n${code(title)} \\- ${plain(summary)}`;
}

function synopsis(verb: Command): string {
  const parts = Object.entries(verb.operands).map(([name, { arity }]) => {
    const upper = italic(name.toUpperCase());
    switch (arity) {
      case "one":
        return upper;
      case "optional":
        return `[${upper}]`;
      case "many":
        return `${upper} ...`;
      case "any":
        return `[${upper} ...]`;
      case "command":
        return `[${bold("--")} ${upper} [${italic("ARGUMENT")} ...]]`;
    }
  });
  return [bold("fallthru"), bold(verb.name), `[${italic("options")}]`, ...parts].join("\n");
}

function operandBlocks(verb: Command): string[] {
  const entries = Object.entries(verb.operands);
  return entries.map(([name, { summary }]) => tagged(italic(name.toUpperCase()), `${capital(summary)}.`));
}

function optionBlocks(specs: Readonly<Record<string, OptionSpec>>): string[] {
  return Object.entries(specs).map(([key, spec]) => {
    const value = placeholderOf(spec);
    const names = [...(spec.short === undefined ? [] : [`-${spec.short}`]), `--${optionName(key)}`]
      .map(bold)
      .join(", ");
    const often = spec.type === "strings" ? " It may be given several times." : "";
    const standard = "default" in spec ? ` Without it: ${spec.default}.` : "";
    return tagged(
      value === undefined ? names : `${names} ${italic(value)}`,
      `${capital(spec.summary)}.${often}${standard}`,
    );
  });
}

/** A line that can be copied, below what it does. */
function exampleBlocks(verb: Command): string[] {
  return verb.examples.flatMap(({ line, does }, index) => [
    ...(index === 0 ? [] : [".PP"]),
    plain(`${capital(does)}:`),
    ".PP\n.RS 4\n.EX",
    code(line),
    ".EE\n.RE",
  ]);
}

function paragraphs(texts: readonly string[]): string[] {
  return texts.map((text, index) => (index === 0 ? plain(text) : `.PP\n${plain(text)}`));
}

/** A tagged paragraph: what is described, as roff, then what it is, as text. */
function tagged(tag: string, text: string): string {
  return `.TP\n${tag}\n${plain(text)}`;
}

/** `fallthru-run(1)` */
function reference(name: string, section = 1): string {
  return `${bold(name)}(${section})`;
}

function bold(text: string): string {
  return `\\fB${code(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${code(text)}\\fR`;
}

/** Sentences, one word of ours after the other in lines of at most 78 characters; none begins with a control character. */
function plain(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").map((each) => (/^[[(]?-|["'^~`\\]|--/.test(each) ? code(each) : each))) {
    if (line !== "" && line.length + 1 + word.length > 78) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => (/^[.']/.test(each) ? `\\&${each}` : each)).join("\n");
}

/** Characters as they are typed: roff would make typographic ones of these. */
function code(text: string): string {
  const glyphs: Readonly<Record<string, string>> = {
    "\\": "\\e",
    "-": "\\-",
    "^": "\\(ha",
    "~": "\\(ti",
    "`": "\\(ga",
    "'": "\\(aq",
    '"': "\\(dq",
  };
  return text.replace(/[\\^~`'"-]/g, (char) => glyphs[char] ?? char);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
