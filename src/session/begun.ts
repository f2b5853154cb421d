import { DT, O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { isDirectory, openAt, openDirectory, readDirectory, statAt } from "../kernel/file.ts";
import type { MountPlan } from "../mount/plan.ts";
import type { RootFiles } from "./rootfiles.ts";

/**
 * What `begin` itself has put into a session's uppers, for each union by path (bytes, one character each; the top is ""):
 * when the inode was last changed, in nanoseconds. As long as that is so nobody else has changed it: no program can set
 * that time.
 */
export type Begun = readonly Readonly<Record<string, string>>[];

/** Notes all that is in the uppers: while nobody has run anything in the session it is ours, the setup scripts' included. */
export function noteBegun({ steps }: MountPlan): Begun {
  return uppersOf(steps).map((upper) => {
    const notes: Record<string, string> = {};
    using root = openDirectory(upper);
    note(root, "", notes);
    return notes;
  });
}

function uppersOf(steps: MountPlan["steps"]): string[] {
  return steps.flatMap((step) => (step.kind === "union" ? [step.union.upper] : []));
}

function note(dir: Fd, path: string, notes: Record<string, string>): void {
  notes[path] = String(statAt(dir).ctimeNs);
  for (const { name, type } of readDirectory(dir)) {
    const below = path === "" ? name.toString("latin1") : `${path}/${name.toString("latin1")}`;
    const attr = type === DT.DIR ? undefined : statAt(dir, name);
    if (attr !== undefined && !isDirectory(attr)) {
      notes[below] = String(attr.ctimeNs);
      continue;
    }
    using open = openDirectory(name, dir);
    note(open, below, notes);
  }
}

/**
 * Notes anew what a session's recovery writes: what was ours until now, and what wasn't there. What somebody else has
 * changed stays theirs.
 * @returns to be called when all is written
 */
export function renewBegun(begun: Begun, { steps }: MountPlan, files: RootFiles): () => Begun {
  const written = [...files.copies.map(({ to }) => to), ...files.databases.map(({ name }) => `/etc/${name}`)];
  const paths = [...written, "/etc/debian_chroot"].map((path) => path.replace(/^\/+/, ""));
  const uppers = uppersOf(steps);
  const ours = uppers.map((upper, index) => {
    const notes = begun[index] ?? {};
    const known = Object.keys(notes).filter((path) => ctimeAt(upper, path) === notes[path]);
    const free = index === 0 ? paths.filter((path) => ctimeAt(upper, path) === undefined) : [];
    return [...known, ...free];
  });
  return () =>
    uppers.map((upper, index) =>
      Object.fromEntries(
        (ours[index] ?? []).flatMap((path) => {
          const ctime = ctimeAt(upper, path);
          return ctime === undefined ? [] : [[path, ctime] as const];
        }),
      ),
    );
}

/** For a session whose uppers are copies of another's: what nobody else had changed there is ours in the copy, too. */
export function copyBegun(begun: Begun, from: MountPlan, to: MountPlan): Begun {
  const [originals, copies] = [uppersOf(from.steps), uppersOf(to.steps)];
  return begun.map((notes, index) => {
    const [original, copy] = [originals[index], copies[index]];
    if (original === undefined || copy === undefined) return notes;
    const entries = Object.entries(notes).map(([path, ctime]) => {
      return [path, ctimeAt(original, path) === ctime ? (ctimeAt(copy, path) ?? ctime) : ctime] as const;
    });
    return Object.fromEntries(entries);
  });
}

function ctimeAt(upper: string, path: string): string | undefined {
  using root = openDirectory(upper);
  return unless(["ENOENT", "ENOTDIR", "ELOOP"], () => {
    using place = openAt(root, path === "" ? "." : Buffer.from(path, "latin1"), O.PATH | O.NOFOLLOW, {
      resolve: inside,
    });
    return String(statAt(place).ctimeNs);
  });
}

const inside = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS;
