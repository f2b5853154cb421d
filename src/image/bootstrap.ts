import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { UserError } from "../error.ts";
import { isUsers } from "../places.ts";
import { isErrno } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import type { Phase, Reporting } from "./progress.ts";
import { noSpace } from "./space.ts";

/** A program that fills an empty directory with a Debian root, ready to be started. */
export interface Bootstrap {
  readonly program: "mmdebstrap" | "debootstrap";
  readonly args: readonly string[];
  /** What it reads. */
  readonly input: string;
}

/** Which of the two programs there is that can do it: debootstrap makes device nodes. @throws {UserError} unsupported: none */
export function findBootstrap(): Bootstrap["program"] {
  const able = isUsers ? (["mmdebstrap"] as const) : (["mmdebstrap", "debootstrap"] as const);
  for (const program of able) {
    if (searchPath().some((folder) => isExecutable(`${folder}/${program}`))) return program;
  }
  throw isUsers
    ? new UserError("unsupported", "make a root: without root that takes mmdebstrap, which isn't here", {
        hint: "as root: apt install mmdebstrap",
      })
    : new UserError("unsupported", "make a root: neither mmdebstrap nor debootstrap is here", {
        hint: "apt install mmdebstrap",
      });
}

/** A user's may lack the superuser's folders (su without -). */
function searchPath(): string[] {
  return [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"].filter((folder) => folder !== "");
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EACCES")) return false;
    throw error;
  }
}

/**
 * What keeps the program from leaving anything: it dies with us (setpriv), its mounts and processes with it (a mount and
 * a PID name space of its own).
 */
const contained = [
  "--pdeathsig",
  "KILL",
  "--",
  "unshare",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child=KILL",
  "--mount-proc",
  "--",
];

/**
 * Runs the program to its end. It inherits the open `root`, and so the lock on it: a root whose maker was killed
 * is let go only when the last of the program's processes is gone.
 * @throws {UserError} failed, with what the program said; no-space
 */
export async function runBootstrap(
  { program, args, input }: Bootstrap,
  environment: Readonly<Record<string, string>>,
  root: Fd,
  reporting: Reporting,
): Promise<void> {
  const { onProgress, signal } = reporting;
  signal?.throwIfAborted();
  const child = spawn("setpriv", [...contained, program, ...args], {
    cwd: "/",
    env: { ...environment, ...process.env, PATH: searchPath().join(":"), LC_ALL: "C.UTF-8" },
    stdio: ["pipe", "pipe", "pipe", root.number],
  });
  const stop = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", stop);
  const lines: string[] = [];
  let fraction = 0;
  const done = new Promise<number | string>((resolve, reject) => {
    child.on("close", (status, killer) => resolve(status ?? killer ?? "")).on("error", reject);
  });
  child.stdin?.on("error", () => {}); // It may end before it has read everything; its status says why.
  child.stdin?.end(input);
  const handle = (line: string) => {
    lines.push(line);
    if (lines.length > keptLines) lines.shift();
    const found = stages.find(([, pattern]) => pattern.test(line));
    if (found === undefined || found[2] <= fraction) return;
    fraction = found[2];
    onProgress?.({ phase: found[0], fraction });
  };
  onLines(child.stdout, handle);
  onLines(child.stderr, handle);
  try {
    const status = await done;
    signal?.throwIfAborted();
    if (status !== 0) throw explain(program, status, lines, root);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

const keptLines = 400;

/** What the programs say when they come to a stage, and how much of the time has then passed, roughly. */
const stages: readonly (readonly [Phase, RegExp, number])[] = [
  ["update", /^I: (?:running apt-get update|Retrieving (?:In)?Release)/, 0.02],
  ["download", /^I: (?:downloading packages|Retrieving )/, 0.1],
  ["extract", /^I: (?:extracting archives|Extracting )/, 0.35],
  ["install", /^I: (?:installing essential|Installing core|Unpacking required)/, 0.45],
  ["install", /^I: (?:installing remaining|Unpacking the base)/, 0.6],
  ["clean", /^I: (?:cleaning|Base system installed)/, 0.92],
];

function onLines(stream: NodeJS.ReadableStream | null, handle: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (text: string) => {
    const parts = (rest + text).split(/[\r\n]+/);
    rest = parts.pop() ?? "";
    for (const line of parts) handle(line);
  });
  stream?.on("end", () => {
    if (rest !== "") handle(rest);
  });
}

function explain(program: string, status: number | string, lines: readonly string[], root: Fd): UserError {
  const text = lines.join("\n");
  const cause = new Error(lines.slice(-30).join("\n"));
  if (/No space left on device|You don't have enough free space/i.test(text))
    return noSpace(root, `make a root with ${program}`, cause);
  // Its own summaries ("setup failed: …") come after what apt or dpkg said of the reason.
  const errors = lines.filter((line) => /^(?:E|dpkg|dpkg-deb|gpgv): /.test(line));
  const line =
    errors.find((text) => !/^E: (?:setup failed|mmdebstrap failed|apt-get .* failed|run_)/.test(text)) ?? errors[0];
  const reason = line === undefined ? `it ended with ${status}` : line.replace(/^E: /, "").replace(/\.$/, "");
  return new UserError("failed", `make a root with ${program}: ${reason}`, { hint: adviceFor(text), cause });
}

function adviceFor(text: string): string | undefined {
  if (/Unable to locate package|has no installation candidate|Couldn't find these debs/.test(text)) {
    return "--include names a package that these apt sources don't have";
  }
  if (/NO_PUBKEY|is not signed|No keyring/.test(text)) {
    return "the host lacks the archive's key: name apt sources with their own Signed-By with --sources FILE";
  }
  if (/ 404 |does not have a Release file|Failed to fetch|Invalid Release|Could not (?:connect|resolve)/.test(text)) {
    return "these apt sources can't be reached or lack that suite: --suite, or others with --sources FILE or --mirror URI";
  }
  return undefined;
}
