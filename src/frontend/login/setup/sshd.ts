import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { UserError } from "../../../error.ts";
import { readText } from "./edits.ts";
import type { Subject } from "./people.ts";

const directory = "/etc/ssh/sshd_config.d";
const program = "/usr/sbin/sshd";
const forced = "/usr/bin/fallthru login";

/** The file by which sshd(8) makes somebody's login a session. */
export function sshdFileOf({ kind, name }: Subject): string {
  return `${directory}/fallthru-${kind}-${name.replace(/[^\w.-]/g, "_")}.conf`;
}

export function sshdText({ kind, name }: Subject): string {
  const match = kind === "user" ? "User" : "Group";
  return `# Made by: fallthru login enable --${kind} ${name} --via force-command\nMatch ${match} ${quoted(name)}\n    ForceCommand ${forced}\nMatch all\n`;
}

/** sshd's patterns have `*`, `?`, `!` and commas in them. */
function quoted(name: string): string {
  if (/^[\w.@\\-]+$/.test(name)) return name;
  throw new UserError("usage", `${name}: sshd takes this for a pattern`, { hint: "write its configuration by hand" });
}

/** @throws {UserError} failed, where sshd refuses its configuration or doesn't look at what was written */
export function checkSshd(user: string | undefined): void {
  if (!existsSync(program)) {
    throw new UserError("not-found", `${program} isn't installed`, { hint: "apt-get install openssh-server" });
  }
  const test = ask(["-t"]);
  if (test.status !== 0) throw new UserError("failed", `sshd refuses its configuration: ${test.text}`);
  if (user === undefined) return;
  const { text } = ask(["-T", "-C", `user=${user},host=localhost,addr=127.0.0.1`]);
  if (new RegExp(`^forcecommand ${forced}$`, "m").test(text)) return;
  throw new UserError("failed", `sshd has another ForceCommand for ${user}, or doesn't read ${directory}`, {
    hint: `its /etc/ssh/sshd_config needs, as its first line: Include ${directory}/*.conf`,
  });
}

function ask(args: readonly string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return { status, text: status === 0 ? stdout : stderr.trim() };
}

/** Variables that a login's own program obeys before it is a session: of the dynamic linker's and of the runtime's. */
const telling = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BUN_OPTIONS", "BUN_BE_BUN"];

/** What sshd does that lets people past a session. @param hasShells whether there are people whose shell is ours */
export function sshdProblems(hasShells: boolean): string[] {
  if (!existsSync(program)) return [];
  const { text } = ask(["-T"]);
  const patterns = [...text.matchAll(/^acceptenv (.*)$/gm)].map(([, pattern = ""]) => pattern);
  const taken = patterns.filter((pattern) => telling.some((name) => globOf(pattern).test(name)));
  return [
    ...(hasShells && /^subsystem sftp internal-sftp/m.test(text)
      ? ["sshd serves files by itself (Subsystem sftp internal-sftp), past the shell: name sftp-server there"]
      : []),
    ...taken.map((pattern) => `sshd takes AcceptEnv ${pattern} from people: ${past}`),
    ...(/^permituserenvironment (?!no$)/m.test(text) ? [`sshd has PermitUserEnvironment: ${past}`] : []),
  ];
}

const past = "by LD_PRELOAD or BUN_OPTIONS they run programs of theirs outside of a session; name what is needed";

/** sshd's patterns know `*` and `?`. */
function globOf(pattern: string): RegExp {
  const text = pattern
    .replace(/[^\w*?]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${text}$`);
}

/** The people and groups for whom sshd has our command. */
export function forcedSubjects(): { readonly kind: string; readonly name: string; readonly file: string }[] {
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith("fallthru-")) : [];
  return names.flatMap((entry) => {
    const file = `${directory}/${entry}`;
    const [, kind = "", name = ""] = /^Match (User|Group) (.*)$/m.exec(readText(file) ?? "") ?? [];
    return kind === "" ? [] : [{ kind: kind.toLowerCase(), name, file }];
  });
}
