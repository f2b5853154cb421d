import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import { E } from "../kernel/abi/errno.ts";
import { AT, O } from "../kernel/abi/file.ts";
import { closeFd, fail, must, openName, stat, statFd, statName } from "../kernel/at.ts";
import type { Fd } from "../kernel/fd.ts";
import { openDirectory, statAt } from "../kernel/file.ts";
import { useHugePages } from "../kernel/hugepages.ts";
import { readAt } from "../kernel/io.ts";
import { readMountInfo } from "../mount/mountinfo.ts";
import { splitLowers } from "../mount/plan.ts";
import { takenOptions } from "../mount/overlay/taken.ts";
import { heldFileOf, mountPointOf, mountsDir, sessionDir, sessionsDir } from "./paths.ts";
import { describeProcess, type ProcessInfo, processesInside } from "./processes.ts";
import { keepSummaries, keptSummaries, many, stampOfSessions } from "./listed.ts";
import { readRecord, type ReadSummary, readSummary } from "./record.ts";
import { replacedBelow } from "./replaced.ts";
import { rootChangeOf } from "./rootchange.ts";
import { readReplaced, type Replaced } from "./roots.ts";
import { isSessionMounted } from "./state.ts";
import { heldIds, takeLeftover } from "./hold.ts";
import type { Limits, Network, SessionState, SessionSummary, Upper } from "./types.ts";
import { checkSessionId } from "./id.ts";
import { noSession, sessionIds } from "./names.ts";

/** One union of a session, as `info` shows it. */
export interface UnionInfo {
  readonly path: string;
  readonly lowers: readonly string[];
  /** The topmost of the lowers that are the session's own: frozen when it was forked. */
  readonly frozen: readonly string[];
  readonly upper: string;
  readonly work: string;
  /** The mount options that the kernel took. */
  readonly options: readonly string[];
}

export interface SessionInfo extends SessionSummary {
  readonly upper: Upper;
  readonly network: Network;
  readonly hostname?: string;
  readonly limits: Limits;
  readonly unions: readonly UnionInfo[];
  /** When packages of the root below were last changed, in milliseconds since 1970, where that was after its beginning. */
  readonly rootChangedMs?: number;
  readonly processes: readonly ProcessInfo[];
}

/** All sessions, the oldest first. Takes one small file each, where any was changed since they were last listed, and a look at each mount. */
export function listSessions(): SessionSummary[] {
  return withReplaced(findSessions().toSorted((a, b) => a.createdMs - b.createdMs));
}

function findSessions(): SessionSummary[] {
  const held = new Set(heldIds());
  const stamp = held.size === 0 ? stampOfSessions() : undefined;
  using places = new Places();
  const isOpen = (id: string) => places.isOpen(id);
  const kept = stamp && keptSummaries(stamp);
  if (kept !== undefined) return kept.map((summary) => summarize(summary, false, isOpen));
  const whole: ReadSummary[] = [];
  const others: SessionSummary[] = [];
  const ids = sessionIds();
  if (ids.length >= many) useHugePages();
  for (const id of ids) {
    const summary = readSummaryOf(id, places);
    if (typeof summary === "object") whole.push(summary);
    else {
      const state = summary ?? halfMadeState(id);
      if (state !== undefined) others.push({ id, chroot: "", state, createdMs: 0, mountPoint: mountPointOf(id) });
    }
  }
  if (stamp !== undefined && others.length === 0) keepSummaries(stamp, whole);
  return [...others, ...whole.map((summary) => summarize(summary, held.has(summary.id), isOpen))];
}

/** Only where a root was replaced are the whole records read. */
function withReplaced(sessions: SessionSummary[]): SessionSummary[] {
  const all = readReplaced();
  if (all.length === 0) return sessions;
  return sessions.map((session) => ({ ...session, ...replacedMsOf(session.id, all) }));
}

function replacedMsOf(id: string, all: readonly Replaced[]): Pick<SessionSummary, "rootReplacedMs"> {
  try {
    const replaced = replacedBelow(id, all);
    return replaced === undefined ? {} : { rootReplacedMs: replaced.replacedMs };
  } catch (error) {
    if (error instanceof UserError) return {};
    throw error;
  }
}

/** Records and mount points, looked at by the thousand: both directories are found once, and nothing is allocated. */
class Places implements Disposable {
  readonly #sessions = unless(["ENOENT"], () => openDirectory(sessionsDir));
  readonly #mounts = unless(["ENOENT"], () => openDirectory(mountsDir));
  readonly #mountsDevice = this.#mounts === undefined ? 0 : deviceOf(this.#mounts);
  readonly #line = Buffer.alloc(4096);

  /** As readSummary() wants it; of a line that is longer than any, what there is of it. */
  readonly firstLine = (id: string, name: string): string | undefined => {
    const path = `${id}/${name}`;
    const file = openName(this.#sessions?.number ?? -1, path, O.RDONLY | O.NOFOLLOW);
    if (file === -E.NOENT) return undefined;
    must("open", path, file);
    try {
      const length = must("read", path, readAt(file, this.#line, 0));
      const end = this.#line.indexOf(10);
      return this.#line.toString("utf8", 0, end === -1 || end > length ? length : end);
    } finally {
      closeFd(file);
    }
  };

  /** What is mounted there is another file system than the one that it is mounted on. */
  isOpen(id: string): boolean {
    if (this.#mounts === undefined) return false;
    // Of a union of ours whose server and holder were killed the kernel may have cached what it would say.
    const found = statName(this.#mounts.number, `${id}/${id}`, AT.STATX_FORCE_SYNC);
    if (found === 0) return stat.device !== this.#mountsDevice;
    if ([-E.NOENT, -E.NOTCONN, -E.CONNABORTED].includes(found)) return false;
    return fail("stat", mountPointOf(id), found);
  }

  [Symbol.dispose](): void {
    this.#sessions?.close();
    this.#mounts?.close();
  }
}

function deviceOf(directory: Fd): number {
  must("stat", "", statFd(directory.number));
  return stat.device;
}

/** One that can't be read must not hide the others. */
function readSummaryOf(id: string, places: Places): ReturnType<typeof readSummary> | "unreadable" {
  try {
    return readSummary(id, places.firstLine);
  } catch (error) {
    if (error instanceof UserError) return "unreadable";
    throw error;
  }
}

/** @throws {UserError} not-found */
export function sessionInfo(id: string): SessionInfo {
  checkSessionId(id);
  const record = readRecord(id);
  if (record === undefined) throw noSession(id);
  const unions = record.plan.steps.flatMap((step) => (step.kind === "union" ? [step] : []));
  const rootChangedMs = rootChangeOf(record);
  const mounts = readMountInfo();
  const currentOptions = (at: string): string[] | undefined => {
    const place = `${mountPointOf(id)}${at === "/" ? "" : at}`;
    const mount = mounts.find(({ mountPoint, type }) => mountPoint === place && type === "overlay");
    return mount === undefined ? undefined : takenOptions(mount.superOptions);
  };
  return {
    ...summarize(record, heldIds().includes(id), isSessionMounted),
    ...replacedMsOf(id, readReplaced()),
    upper: record.upper,
    network: record.network,
    ...(record.hostname === undefined ? {} : { hostname: record.hostname }),
    limits: record.limits,
    unions: unions.map(({ at, union }, index) => {
      const { lowers, upper, work } = union;
      const options = currentOptions(at) ?? record.unionOptions[index] ?? [];
      return { path: at, lowers, frozen: splitLowers(union).own, upper, work, options };
    }),
    ...(rootChangedMs === undefined ? {} : { rootChangedMs }),
    processes: processesInside(mountPointOf(id)).map(describeProcess),
  };
}

function summarize(summary: ReadSummary, isHeld: boolean, isOpen: (id: string) => boolean): SessionSummary {
  const { id, chroot, createdMs, expiresMs, forkedFrom, kind } = summary;
  const holder = isHeld ? holderOf(id) : undefined;
  // Whoever was killed beside a record that stands had not begun to end it, or had just finished beginning it.
  const isLeft = kind === "automatic" && holder !== "alive";
  const whole = isOpen(id) ? "open" : "unmounted";
  const state: SessionState = holder === "alive" ? "held" : isLeft ? "leftover" : whole;
  return {
    id,
    chroot,
    state,
    createdMs,
    ...(expiresMs === undefined ? {} : { expiresMs }),
    ...(forkedFrom === undefined ? {} : { forkedFrom }),
    mountPoint: mountPointOf(id),
  };
}

/** A session without a record: it is being made or removed, or whoever did so was killed, or the power was cut. */
function halfMadeState(id: string): SessionState | undefined {
  if (holderOf(id) === "alive") return "held";
  return unless(["ENOENT"], () => statAt(null, sessionDir(id))) === undefined ? undefined : "leftover";
}

/** Whether the holder lives: its lock can't be taken then. */
function holderOf(id: string): "alive" | "dead" | undefined {
  if (unless(["ENOENT"], () => statAt(null, heldFileOf(id))) === undefined) return undefined;
  using leftover = takeLeftover(id);
  return leftover === undefined ? "alive" : "dead";
}
