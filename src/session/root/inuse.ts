import type { UpdateTarget } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import { fileSystemOf, openAt, openDirectory, readLinkAt } from "../../kernel/file.ts";
import { parentOf } from "../../kernel/names.ts";
import { readMountInfo } from "../../mount/mountinfo.ts";
import { splitLowers } from "../../mount/plan.ts";
import { sessionIds } from "../names.ts";
import { sessionDir } from "../paths.ts";
import { readRecord, type SessionRecord } from "../record.ts";
import { readNote, type RootNote } from "./note.ts";

/** How a session has a root that is to be replaced. */
type Use =
  | "below" //   noted down, so that it is found wherever it goes
  | "unnoted" // below, in a way that goes by the path alone
  | "itself" //  what it writes, or shows, is the root or a part of it
  | "update"; // another update of it

/** A mount can't be renamed, and a copy would have all that is mounted in the root. @throws {UserError} unsupported */
export function refuseMounts({ path }: UpdateTarget): void {
  const hint = "change it directly: fallthru run source:NAME -- COMMAND";
  if (path === "/") throw new UserError("unsupported", "this machine's own root can't be updated in a copy", { hint });
  const all = readMountInfo().map(({ mountPoint }) => mountPoint);
  if (all.includes(path)) {
    throw new UserError("unsupported", `${path} is a mount point, which can't be updated in a copy`, { hint });
  }
  const below = all.find((mountPoint) => mountPoint.startsWith(`${path}/`));
  if (below === undefined) return;
  throw new UserError("busy", `something is mounted on ${below}, in the root that is to be updated`, {
    hint: `unmount it first: umount ${below}`,
  });
}

/**
 * Refuses what an update would take from under a session. What is below unions is kept for them, where it is a directory or an image.
 * @param own the update's session
 * @throws {UserError} busy, unsupported
 */
export function refuseInUse(target: UpdateTarget, own: string): void {
  const uses = new Map<Use, string[]>();
  for (const id of sessionIds()) {
    const use = id === own ? undefined : useOf(id, target);
    if (use !== undefined) uses.set(use, [...(uses.get(use) ?? []), `@${id}`]);
  }
  const refuse = (use: Use, why: string, more = ""): void => {
    const ids = uses.get(use)?.join(" ");
    if (ids === undefined) return;
    throw new UserError("busy", `${why}, and it is as it was: ${ids}`, {
      hint: use === "update" ? "wait until that has ended" : `end them first: fallthru end ${ids}${more}`,
    });
  };
  refuse("update", `${target.path} is being updated already`);
  refuse("itself", `sessions have ${target.path} itself, or a part of it`);
  const why = target.kind === "subvolume" ? "with no snapshot of their own" : "in a way that can't be kept for them";
  refuse("unnoted", `sessions lie over ${target.path}, ${why}`);
  if (uses.has("below")) refuseUnstable(target);
}

/** Old and new are told apart by inode numbers, also after a restart of the machine. */
function refuseUnstable({ path }: UpdateTarget): void {
  using dir = openDirectory(parentOf(path));
  const { type } = fileSystemOf(dir);
  if (!/^(?:fuse|overlay)/.test(type)) return;
  throw new UserError("unsupported", `sessions lie over ${path}, which is on ${type}: they would lose it`, {
    hint: "end them first: fallthru list",
  });
}

function useOf(id: string, target: UpdateTarget): Use | undefined {
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (opened === undefined) return undefined;
  using dir = opened;
  const note = readNote(dir);
  if (note !== undefined && isNoted(note, target)) return useOfNote(note);
  const record = readRecordOf(id);
  return record === "unreadable" ? "unnoted" : record && useOfRecord(record, target);
}

/** Of one that can't be read nobody knows what it lies over. */
function readRecordOf(id: string): SessionRecord | "unreadable" | undefined {
  try {
    return readRecord(id);
  } catch (error) {
    if (error instanceof UserError) return "unreadable";
    throw error;
  }
}

function isNoted({ root }: RootNote, { path }: UpdateTarget): boolean {
  if (root.kind === "update") return root.of.path === path;
  return root.kind === "image" && realPath(root.file) === path;
}

function useOfNote({ root, access, identity }: RootNote): Use {
  if (root.kind === "update") return "update";
  if (access === "write") return "itself";
  return identity === undefined ? "unnoted" : "below";
}

function useOfRecord({ plan, roots = {} }: SessionRecord, { kind, path }: UpdateTarget): Use | undefined {
  const isIn = (real: string | undefined): boolean => real === path || real?.startsWith(`${path}/`) === true;
  let use: Use | undefined;
  for (const step of plan.steps) {
    if (step.kind === "bind" && isIn(realPath(step.from))) return "itself";
    if (step.kind !== "union") continue;
    for (const lower of splitLowers(step.union).base) {
      const real = realPath(lower);
      if (!isIn(real)) continue;
      const isKept = kind === "directory" && real === path && roots[lower] !== undefined;
      use = isKept && use !== "unnoted" ? "below" : "unnoted";
    }
  }
  return use;
}

/** Without links; undefined where nothing is. */
function realPath(path: string): string | undefined {
  const opened = unless(["ENOENT", "ENOTDIR", "ELOOP", "ENOTCONN"], () => openAt(null, path, O.PATH));
  if (opened === undefined) return undefined;
  using file = opened;
  return readLinkAt(null, file.procPath).toString("utf8");
}
