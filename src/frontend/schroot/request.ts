import { isPermittedName } from "../../chroot/names.ts";
import { usageError } from "./messages.ts";
import { type Option, splitWords, type Words } from "./words.ts";

/** What the command line asks for. */
export interface Request {
  readonly action: Action;
  readonly isQuiet: boolean;
  readonly isVerbose: boolean;
  /** As given with -c, in order; empty where only sets were. */
  readonly chroots: readonly string[];
  readonly sets: ReadonlySet<ChrootSet>;
  readonly withAliases: boolean;
  readonly directory: string | undefined;
  readonly shell: string | undefined;
  readonly user: string | undefined;
  readonly preserveEnvironment: boolean;
  /** -o KEY=VALUE, in order. */
  readonly keys: readonly (readonly [string, string])[];
  readonly sessionName: string | undefined;
  readonly isForced: boolean;
  /** Empty: a login shell. */
  readonly command: readonly string[];
  /** What was odd and yet done, to be told first. */
  readonly warnings: readonly { readonly level: "W" | "I"; readonly text: string }[];
}

export type Action = (typeof actions)[number];
export type ChrootSet = "chroots" | "sessions" | "source-chroots";

const actions = [
  "help",
  "version",
  "list",
  "info",
  "config",
  "location",
  "automatic-session",
  "begin-session",
  "recover-session",
  "run-session",
  "end-session",
] as const;

const options: readonly Option[] = [
  { name: "help", short: "h", takes: "nothing" },
  { name: "version", short: "V", takes: "nothing" },
  { name: "list", short: "l", takes: "nothing" },
  { name: "info", short: "i", takes: "nothing" },
  { name: "config", takes: "nothing" },
  { name: "location", takes: "nothing" },
  { name: "quiet", short: "q", takes: "nothing" },
  { name: "verbose", short: "v", takes: "nothing" },
  { name: "chroot", short: "c", takes: "values" },
  { name: "all", short: "a", takes: "nothing" },
  { name: "all-chroots", takes: "nothing" },
  { name: "all-sessions", takes: "nothing" },
  { name: "all-source-chroots", takes: "nothing" },
  { name: "exclude-aliases", takes: "nothing" },
  { name: "directory", short: "d", takes: "one value" },
  { name: "shell", short: "s", takes: "one value" },
  { name: "user", short: "u", takes: "one value" },
  { name: "preserve-environment", short: "p", takes: "nothing" },
  { name: "option", short: "o", takes: "values" },
  { name: "automatic-session", takes: "nothing" },
  { name: "begin-session", short: "b", takes: "nothing" },
  { name: "recover-session", takes: "nothing" },
  { name: "run-session", short: "r", takes: "nothing" },
  { name: "end-session", short: "e", takes: "nothing" },
  { name: "session-name", short: "n", takes: "one value" },
  { name: "force", short: "f", takes: "nothing" },
  { name: "debug", takes: "one value" },
  { name: "command", takes: "a word" },
];

/** Reads schroot(1)'s command line. @throws {UserError} in its words */
export function readRequest(argv: readonly string[]): Request {
  const { options: given, operands } = splitWords(argv, options);
  const has = (name: string) => given.has(name);
  // An empty value is as good as none.
  const one = (name: string) => given.get(name)?.find((value) => value !== "");
  checkDebug(one("debug"));
  const action = chooseAction(given);
  const chosen = chooseChroots(action, given);
  const request: Request = {
    action,
    isQuiet: has("quiet") && !has("verbose"),
    isVerbose: has("verbose"),
    ...chosen,
    withAliases: !has("exclude-aliases"),
    directory: one("directory"),
    shell: one("shell"),
    user: one("user"),
    preserveEnvironment: has("preserve-environment"),
    keys: (given.get("option") ?? []).map(splitKey),
    sessionName: one("session-name"),
    isForced: has("force"),
    // schroot takes a command without a name for none.
    command: operands[0] === "" ? [] : operands,
    warnings: warningsOf(given),
  };
  checkSessionName(request);
  return request;
}

function checkDebug(level: string | undefined): void {
  if (level === undefined || ["none", "notice", "info", "warning", "critical"].includes(level)) return;
  throw usageError("Invalid debug level");
}

function chooseAction(given: Words["options"]): Action {
  const asked = actions.filter((action) => given.has(action));
  if (asked.length > 1) throw usageError("Only one action may be specified");
  return asked[0] ?? "automatic-session";
}

function chooseChroots(action: Action, given: Words["options"]): Pick<Request, "chroots" | "sets"> {
  const chroots = given.get("chroot") ?? [];
  const asked = setsOf(given);
  if (action === "begin-session" && (chroots.length !== 1 || asked.size > 0)) {
    throw usageError("Exactly one chroot must be specified when beginning a session");
  }
  if (chroots.length > 0) return { chroots, sets: new Set() };
  if (asked.size > 0) return { chroots, sets: asked };
  switch (action) {
    case "automatic-session":
      return { chroots: ["default"], sets: asked };
    case "list":
    case "info":
      return { chroots, sets: new Set(["chroots", "source-chroots"]) };
    case "config":
    case "location":
      return { chroots, sets: new Set(["chroots"]) };
    default:
      return { chroots, sets: asked };
  }
}

function setsOf(given: Words["options"]): Set<ChrootSet> {
  const all = ["chroots", "sessions", "source-chroots"] as const;
  return new Set(all.filter((set) => given.has("all") || given.has(`all-${set}`)));
}

function splitKey(text: string): readonly [string, string] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text, ""] : [text.slice(0, equals), text.slice(equals + 1)];
}

function warningsOf(given: Words["options"]): Request["warnings"] {
  const warnings: { level: "W" | "I"; text: string }[] = [];
  if (given.has("quiet") && given.has("verbose")) {
    warnings.push({ level: "W", text: "--quiet and --verbose may not be used at the same time" });
    warnings.push({ level: "I", text: "Using verbose output" });
  }
  if (given.has("chroot") && setsOf(given).size > 0) {
    warnings.push({ level: "W", text: "--chroot and --all may not be used at the same time" });
    warnings.push({ level: "I", text: "Using --chroots only" });
  }
  return warnings;
}

function checkSessionName({ action, sessionName }: Request): void {
  if (sessionName === undefined) return;
  if (action === "begin-session") {
    if (isPermittedName(sessionName)) return;
    throw usageError("Invalid session name");
  }
  const isMeantAsChroot = ["run-session", "end-session", "recover-session"].includes(action);
  const meant = isMeantAsChroot ? "; did you mean to use --chroot?" : "";
  throw usageError(`--session-name is not permitted for the specified action${meant}`);
}
