import { O, RESOLVE } from "../../kernel/abi/file.ts";
import { bytesOf, type Name, nameOf } from "../../kernel/at.ts";
import { Fd } from "../../kernel/fd.ts";
import { openAt, openDirectory, readAll, unlinkAt, writeAll } from "../../kernel/file.ts";
import { type Credentials, spawn } from "../../kernel/process.ts";
import { dieWithParent } from "../../kernel/self.ts";
import { waitForChild } from "../../kernel/wait.ts";
import { randomHex } from "../id.ts";
import { mountPointOf, sessionDir } from "../paths.ts";
import { readSummary } from "../record.ts";
import type { PassingHome } from "./files.ts";
import { saveFiles, type SaveReport } from "./save.ts";

/** What a process that saves files gets as its descriptors: their names with a NUL behind each, and the home in the session. */
const given = { names: 0, inside: 1 } as const;

/**
 * Has a process of the person's own save files of their home: `words` is our verb that calls saveGiven(), to which the
 * real home's path and a time are added.
 * @returns whether all were saved
 */
export async function saveAs(
  person: Credentials,
  home: PassingHome,
  paths: readonly Name[],
  words: readonly string[],
): Promise<boolean> {
  using root = openDirectory("/");
  using inside = openInside(home);
  using names = listOf(home.id, paths);
  const sinceMs = home.kind === "copy" ? (readSummary(home.id)?.createdMs ?? 0) : 0;
  const pid = spawn(
    { root, credentials: person, directories: ["/"], network: "host" },
    {
      file: process.execPath,
      argv: [process.execPath, ...words, home.path, String(sinceMs)],
      env: { PATH: "/usr/bin:/bin" },
      attachment: {
        descriptors: [names, inside, new Fd(2, "the terminal")],
        leads: "session",
        umask: 0o077,
        fileLimit: 1024,
      },
    },
  );
  const outcome = await waitForChild(pid);
  return outcome.kind === "exited" && outcome.status === 0;
}

function openInside({ id, path }: PassingHome): Fd {
  using root = openDirectory(mountPointOf(id));
  return openDirectory(path, root, RESOLVE.IN_ROOT);
}

/** A file without a name that has them, where no user can reach it. */
function listOf(id: string, paths: readonly Name[]): Fd {
  const path = `${sessionDir(id)}/saved-${randomHex()}`;
  using file = openAt(null, path, O.WRONLY | O.CREAT | O.EXCL, { mode: 0o600 });
  try {
    writeAll(file, bytesOf(paths.map((each) => `${each}\0`).join("")));
    return openAt(null, path, O.RDONLY);
  } finally {
    unlinkAt(null, path);
  }
}

/** Is that process. */
export function saveGiven(homePath: string, sinceMs: number): SaveReport {
  dieWithParent();
  const names = nameOf(readAll(new Fd(given.names, "names")));
  const paths = names.split("\0").filter((path) => path !== "");
  return saveFiles(new Fd(given.inside, "the home in the session"), homePath, paths, BigInt(sinceMs) * 1_000_000n);
}

export { dieWithParent } from "../../kernel/self.ts";
