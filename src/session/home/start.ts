import { O, RESOLVE } from "../../kernel/abi/file.ts";
import { bytesOf, type Name, nameOf } from "../../kernel/at.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import { Fd } from "../../kernel/fd.ts";
import { openAt, openDirectory, readAll, removeDirectoryAt, tryLock, writeAll } from "../../kernel/file.ts";
import { makeMemoryFile } from "../../kernel/memory.ts";
import type { Credentials } from "../../kernel/process.ts";
import { spawn } from "../../kernel/spawn.ts";
import { dieWithParent } from "../../kernel/self.ts";
import { waitForChild } from "../../kernel/wait.ts";
import { mountPointOf } from "../paths.ts";
import { pause } from "../pause.ts";
import { readSummary } from "../record.ts";
import type { PassingHome } from "./files.ts";
import { openBelow, saveFiles, type SaveReport } from "./save.ts";

/** What a process that saves files gets as its descriptors: their names with a NUL behind each, and the home in the session. */
const given = { names: 0, inside: 1 } as const;

/** The verb that is that process. */
const saveWord = "login-save";

/** How saving went; `refused`: all that the person may have was saved, and the rest is none of theirs, or no file. */
export type Saved = "whole" | "refused" | "failed";

/** As exit statuses. */
const statuses: Readonly<Record<Saved, number>> = { whole: 0, refused: 1, failed: 2 };

/** Where to, and where what is to be said of it goes. */
export interface SaveTo {
  /** A directory in the real home that is made where it isn't there. Without it: to the home. */
  readonly into?: string;
  /** Without it: this process's standard error. */
  readonly words?: Fd;
}

/** Has a process of the person's own save files of their home. */
export async function saveAs(
  person: Credentials,
  home: PassingHome,
  paths: readonly Name[],
  { into, words = new Fd(2, "standard error") }: SaveTo = {},
): Promise<Saved> {
  using root = openDirectory("/");
  using inside = openInside(home);
  using names = listOf(paths);
  const sinceMs = into === undefined && home.kind === "copy" ? (readSummary(home.id)?.createdMs ?? 0) : 0;
  const options = into === undefined ? [] : [`--into=${into}`];
  const pid = spawn(
    { root, credentials: person, directories: ["/"], network: "host" },
    {
      file: process.execPath,
      argv: [process.execPath, saveWord, ...options, "--", home.path, String(sinceMs)],
      env: { PATH: "/usr/bin:/bin" },
      attachment: { descriptors: [names, inside, words], leads: "session", umask: 0o077, fileLimit: 1024 },
    },
  );
  const outcome = await waitForChild(pid);
  const status = outcome.kind === "exited" ? outcome.status : statuses.failed;
  return status === statuses.whole ? "whole" : status === statuses.refused ? "refused" : "failed";
}

function openInside({ id, path }: PassingHome): Fd {
  using root = openDirectory(mountPointOf(id));
  return openDirectory(path, root, RESOLVE.IN_ROOT);
}

/** A file that has them, which needs no room on any disk. */
function listOf(paths: readonly Name[]): Fd {
  using file = makeMemoryFile("names");
  writeAll(file, bytesOf(paths.map((each) => `${each}\0`).join("")));
  return openAt(null, file.procPath, O.RDONLY);
}

/** What became of it. */
export interface SaveResult {
  readonly report: SaveReport;
  /** Where the files are now. */
  readonly directory: string;
  /** The process's exit status. */
  readonly status: number;
}

/** Is that process. */
export function saveGiven(homePath: string, sinceMs: number, into: string | undefined): SaveResult {
  dieWithParent();
  const names = nameOf(readAll(new Fd(given.names, "names")));
  const paths = names.split("\0").filter((path) => path !== "");
  using home = openDirectory(homePath);
  const place = into === undefined ? { target: home, path: homePath } : openPlace(home, homePath, into);
  using target = place.target;
  if (into !== undefined) waitForOthers(target);
  const report = saveFiles(
    new Fd(given.inside, "the home in the session"),
    target,
    paths,
    BigInt(sinceMs) * 1_000_000n,
  );
  const isWhole = report.full === undefined && report.failed.length === 0;
  const isRefused = report.full === undefined && report.failed.every((each) => each.isRefused);
  const status = statuses[isWhole ? "whole" : isRefused ? "refused" : "failed"];
  if (into !== undefined && report.saved === 0) removeEmpty(home, place.path.slice(homePath.length + 1));
  return { report, directory: place.path, status };
}

/** One that was killed may still be ending: whoever started it, and held the session, has ended before. */
const patienceMs = 5000;

/** Nobody else saves the same at the same time. It is the person's directory, in which they may lock what they like: so not for ever. */
function waitForOthers(directory: Fd): void {
  const deadline = Date.now() + patienceMs;
  // Not every file system has such locks.
  unless(["ENOLCK", "EBADF", "EINVAL", "EOPNOTSUPP"], () => {
    while (!tryLock(directory, "exclusive") && Date.now() < deadline) pause(5);
  });
}

/** Where the person has made something else of a name of its path, it lies beside that. */
function openPlace(home: Fd, homePath: string, below: string): { target: Fd; path: string } {
  try {
    return { target: openBelow(home, below.split("/")), path: `${homePath}/${below}` };
  } catch (error) {
    if (!isErrno(error, "ENOTDIR", "ELOOP")) throw error;
    const beside = below.replaceAll("/", "-");
    return { target: openBelow(home, [beside]), path: `${homePath}/${beside}` };
  }
}

/** What was made for nothing. */
function removeEmpty(home: Fd, below: string): void {
  for (let path = below; path !== ""; path = path.slice(0, Math.max(path.lastIndexOf("/"), 0))) {
    unless(["ENOTEMPTY", "ENOENT"], () => {
      removeDirectoryAt(home, path);
    });
  }
}

export { dieWithParent } from "../../kernel/self.ts";
