import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { unless } from "../kernel/error.ts";
import { sessionsDir } from "./paths.ts";
import { schrootSessions } from "./schrootfile.ts";

/** Where sessions are looked up: one by one, or many at once. */
export interface SessionFiles {
  /** Their names, with a description or without. */
  readonly ids: readonly string[];
  /** As readSchrootFile(). */
  readonly read: (id: string) => string | undefined;
  /** Whether a session of ours is there. */
  readonly isThere: (id: string) => boolean;
}

/** For who looks at all of them: by node:fs, which costs a start more and each file a fifth. */
export function allSessionFiles(): SessionFiles {
  const list = (directory: string) => unless(["ENOENT", "ENOTDIR", "EACCES"], () => readdirSync(directory)) ?? [];
  const ours = new Set(list(sessionsDir));
  return { ids: list(schrootSessions), read: readTrusted, isThere: (id) => ours.has(id) };
}

function readTrusted(id: string): string | undefined {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openSync(`${schrootSessions}/${id}`, flags));
  if (fd === undefined) return undefined;
  try {
    const { mode, uid } = fstatSync(fd);
    const isTrusted = (mode & constants.S_IFMT) === constants.S_IFREG && uid === 0 && (mode & 0o002) === 0;
    return isTrusted ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}
