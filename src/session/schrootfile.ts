import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { linkAt, makeDirectoryAt, openAt, readAll, statAt, unlinkAt, writeAll } from "../kernel/file.ts";
import { namesIn } from "../kernel/trusted.ts";
import { mountPointOf, schrootFileOf, schrootSessions, schrootTemporaryOf } from "./paths.ts";

/** The line that tells a session of ours from one of a real schroot's. */
function mountLocationLine(id: string): string {
  return `mount-location=${mountPointOf(id)}`;
}

/**
 * Writes a session's description for those who look for it there; whole or not at all.
 * @throws {KernelError} EEXIST where a real schroot has a session of this name
 */
export function writeSchrootFile(id: string, text: string): void {
  for (const path of ["/var/lib/schroot", schrootSessions])
    unless(["EEXIST"], () => makeDirectoryAt(null, path, 0o755));
  const temporary = schrootTemporaryOf(id);
  try {
    {
      using file = openAt(null, temporary, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o644 });
      writeAll(file, Buffer.from(text));
    }
    linkAt(null, temporary, null, schrootFileOf(id));
  } finally {
    unless(["ENOENT"], () => unlinkAt(null, temporary));
  }
}

/** Removes what writeSchrootFile() wrote, also where it was killed half-way. */
export function removeSchrootFile(id: string): void {
  unless(["ENOENT", "ENOTDIR"], () => unlinkAt(null, schrootTemporaryOf(id)));
  if (readSchrootFile(id)?.split("\n").includes(mountLocationLine(id)) !== true) return;
  unless(["ENOENT"], () => unlinkAt(null, schrootFileOf(id)));
}

/**
 * What is written of a session, ours or a real schroot's.
 * @returns undefined where there is none, or somebody else than the superuser could have written it
 */
export function readSchrootFile(id: string): string | undefined {
  const opened = unless(["ENOENT", "ENOTDIR", "ELOOP"], () =>
    openAt(null, schrootFileOf(id), O.RDONLY | O.NOFOLLOW | O.NONBLOCK),
  );
  if (opened === undefined) return undefined;
  using file = opened;
  const { mode, uid, size } = statAt(file);
  const isTrusted = (mode & 0o170000) === 0o100000 && uid === 0 && (mode & 0o002) === 0;
  return isTrusted ? readAll(file, size).toString("utf8") : undefined;
}

/** The names of the files that there are, whatever they say. */
export function schrootFileNames(): string[] {
  return unless(["ENOENT", "ENOTDIR", "EACCES"], () => namesIn(schrootSessions)) ?? [];
}
