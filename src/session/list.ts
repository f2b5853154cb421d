import { readdirSync } from "node:fs";
import { UserError } from "../error.ts";
import { isErrno } from "../kernel/error.ts";
import { mountPointOf, sessionsDir } from "./paths.ts";
import { describeProcess, type ProcessInfo, processesInside } from "./processes.ts";
import { readRecord, readSummary, type RecordKind, type RecordSummary } from "./record.ts";
import { isSessionMounted } from "./state.ts";
import { heldIds, takeLeftover } from "./hold.ts";
import type { Limits, Network, SessionState, SessionSummary, Upper } from "./types.ts";
import { checkSessionId } from "./id.ts";

/** One union of a session, as `info` shows it. */
export interface UnionInfo {
  readonly path: string;
  readonly lowers: readonly string[];
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
  readonly processes: readonly ProcessInfo[];
}

/** All sessions, the oldest first. Takes one small file each: 5,000 of them in under 100 ms. */
export function listSessions(): SessionSummary[] {
  const held = new Set(heldIds());
  const found: SessionSummary[] = [];
  for (const id of sessionIds()) {
    const summary = readSummary(id);
    if (summary !== undefined) found.push(summarize(summary, held.has(id)));
    else if (held.has(id))
      found.push({ id, chroot: "", state: heldState(id), createdMs: 0, mountPoint: mountPointOf(id) });
  }
  return found.toSorted((a, b) => a.createdMs - b.createdMs);
}

/** The names of the sessions' directories; half-made ones too. */
export function sessionIds(): string[] {
  try {
    return readdirSync(sessionsDir).filter((name) => !name.startsWith("."));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** @throws {UserError} not-found */
export function sessionInfo(id: string): SessionInfo {
  checkSessionId(id);
  const record = readRecord(id);
  if (record === undefined)
    throw new UserError("not-found", `no session ${id}`, { hint: "what there is: fallthru list" });
  const unions = record.plan.steps.flatMap((step) => (step.kind === "union" ? [step] : []));
  return {
    ...summarize(record, heldIds().includes(id)),
    upper: record.upper,
    network: record.network,
    ...(record.hostname === undefined ? {} : { hostname: record.hostname }),
    limits: record.limits,
    unions: unions.map(({ at, union }, index) => {
      const { lowers, upper, work } = union;
      return { path: at, lowers, upper, work, options: record.unionOptions[index] ?? [] };
    }),
    processes: processesInside(mountPointOf(id)).map(describeProcess),
  };
}

function summarize(summary: RecordSummary & { kind: RecordKind }, isHeld: boolean): SessionSummary {
  const { id, chroot, createdMs, expiresMs } = summary;
  const mountPoint = mountPointOf(id);
  const state: SessionState = isHeld ? heldState(id) : isSessionMounted(id) ? "open" : "unmounted";
  return { id, chroot, state, createdMs, ...(expiresMs === undefined ? {} : { expiresMs }), mountPoint };
}

/** Whether the holder lives: its lock can't be taken then. */
function heldState(id: string): SessionState {
  const leftover = takeLeftover(id);
  leftover?.[Symbol.dispose]();
  return leftover === undefined ? "held" : "leftover";
}
