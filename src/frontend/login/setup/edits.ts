import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../../../error.ts";

/** A file as it is and as it is to be; undefined: not there. Bytes that are no UTF-8 survive, as this is latin1. */
export interface Edit {
  readonly file: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** Passwords' files have locks and tools of their own: how to make the change, and how to take it back. */
  readonly commands?: { readonly apply: readonly Command[]; readonly undo: readonly Command[] };
  /** Run once it is written; what it throws undoes everything. */
  readonly check?: () => void;
}

export type Command = readonly string[];

/** @returns undefined where nothing would change */
export function editOf(
  file: string,
  change: (text: string) => string | undefined,
  more: Pick<Edit, "check"> = {},
): Edit | undefined {
  const before = readText(file);
  const after = change(before ?? "");
  return before === after ? undefined : { file, before, after, ...more };
}

export function readText(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "latin1") : undefined;
}

/** What changes, as diff(1) shows it, without the lines that don't. */
export function diffText(edits: readonly Edit[]): string {
  return edits.map(fileDiff).join("");
}

function fileDiff({ file, before, after }: Edit): string {
  const [old, now] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const [gone, come] = [old.slice(start, old.length - end), now.slice(start, now.length - end)];
  const kept = gone.filter((line) => come.includes(line));
  const lines = [
    ...gone.filter((line) => !kept.includes(line)).map((line) => `-${line}`),
    ...come.filter((line) => !kept.includes(line)).map((line) => `+${line}`),
  ];
  const names = [before === undefined ? "/dev/null" : file, after === undefined ? "/dev/null" : file];
  const text = [`--- ${names[0]}`, `+++ ${names[1]}`, `@@ line ${start + 1} @@`, ...lines, ""].join("\n");
  return Buffer.from(text, "latin1").toString("utf8");
}

function linesOf(text: string | undefined): string[] {
  return text === undefined || text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/** Makes all changes or none: what was written before one that fails is put back. */
export function applyEdits(edits: readonly Edit[]): void {
  const done: Edit[] = [];
  try {
    for (const edit of edits) {
      done.unshift(edit);
      if (edit.commands !== undefined) runAll(edit.commands.apply);
      else write(edit.file, edit.after);
      edit.check?.();
    }
  } catch (error) {
    for (const { file, before, commands } of done) {
      if (commands !== undefined) runAll(commands.undo);
      else write(file, before);
    }
    throw error;
  }
}

function runAll(commands: readonly Command[]): void {
  for (const [program = "", ...args] of commands) {
    const { status, stderr, error } = spawnSync(program, args, {
      encoding: "utf8",
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    });
    if (status === 0) continue;
    const reason = error?.message ?? stderr.trim().split("\n").at(-1) ?? "";
    throw new UserError("failed", `${[program, ...args].join(" ")}: ${reason}`, { cause: error });
  }
}

/** Written beside it and renamed, with the owner and mode that it has; through a link, as what it names. */
function write(file: string, text: string | undefined): void {
  if (text === undefined) return rmSync(file, { force: true });
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  const path = existsSync(file) ? realpathSync(file) : file;
  const old = statSync(path, { throwIfNoEntry: false });
  const temporary = `${path}.fallthru-new`;
  rmSync(temporary, { force: true });
  const opened = openSync(temporary, "wx", 0o600);
  try {
    const bytes = Buffer.from(text, "latin1");
    for (let at = 0; at < bytes.length;) at += writeSync(opened, bytes, at);
    chownSync(temporary, old?.uid ?? 0, old?.gid ?? 0);
    chmodSync(temporary, (old?.mode ?? 0o644) & 0o7777);
    fsyncSync(opened);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(opened);
  }
}
