import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";

/** Ids that a user may give to others in a name space of theirs. @see subuid(5) */
export interface Range {
  readonly start: number;
  readonly count: number;
}

/** The two files, and what the ids in them are. */
export const kinds = { uid: "/etc/subuid", gid: "/etc/subgid" } as const;
export type Kind = keyof typeof kinds;

/** So many that every id a Debian root has is among them. */
const enough = 65_536;

/** The user's name, from the user database and not from the environment; the number where they have none. */
export function userName(): string {
  const uid = String(process.getuid?.());
  const passwd = unless(["ENOENT"], () => readFileSync("/etc/passwd", "utf8")) ?? "";
  const line = passwd.split("\n").find((each) => each.split(":")[2] === uid);
  if (line !== undefined) return line.slice(0, line.indexOf(":"));
  // One who isn't in the file, but in LDAP and the like.
  const { stdout, status } = spawnSync("id", ["--user", "--name"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.trim() : uid;
}

/**
 * A user's lines of /etc/subuid or /etc/subgid. Both go by the user's name or number.
 * @param text the file's content
 */
export function parseRanges(text: string, name: string, uid: number): Range[] {
  const ranges: Range[] = [];
  for (const line of text.split("\n")) {
    const [owner, start = "", count = ""] = line.split(":");
    if (owner !== name && owner !== String(uid)) continue;
    if (/^\d+$/.test(start) && /^\d+$/.test(count) && Number(count) > 0)
      ranges.push({ start: Number(start), count: Number(count) });
  }
  return ranges;
}

export function readRanges(kind: Kind): Range[] {
  const text = unless(["ENOENT"], () => readFileSync(kinds[kind], "utf8")) ?? "";
  return parseRanges(text, userName(), process.getuid?.() ?? 0);
}

/** What newuidmap(1) and newgidmap(1) take: the user themselves as 0, and the subordinate ids from 1 on. */
export function mapWords(own: number, ranges: readonly Range[]): string[] {
  const words = ["0", String(own), "1"];
  let next = 1;
  for (const { start, count } of ranges) {
    words.push(String(next), String(start), String(count));
    next += count;
  }
  return words;
}

/** What is missing from a file, and the line that would do; undefined where there is enough. */
export function lackOf(
  kind: Kind,
  ranges: readonly Range[],
): { readonly message: string; readonly hint: string } | undefined {
  const total = ranges.reduce((sum, { count }) => sum + count, 0);
  if (total >= enough) return undefined;
  const name = userName();
  const message =
    total === 0 ? `${kinds[kind]} has no line for ${name}` : `${kinds[kind]} gives ${name} only ${total} ids`;
  const words = `--add-sub${kind}s FIRST-LAST`;
  return {
    message,
    hint: `as root: usermod ${words} ${name} (65536 of them that nobody else has), or by hand the line ${name}:FIRST:65536`,
  };
}

/** @throws {UserError} unsupported: too few of them, with the line that is missing */
export function requireRanges(kind: Kind): Range[] {
  const ranges = readRanges(kind);
  const lack = lackOf(kind, ranges);
  if (lack !== undefined)
    throw new UserError("unsupported", `a session without root needs subordinate ids: ${lack.message}`, {
      hint: lack.hint,
    });
  return ranges;
}
