import type { Chroot } from "../chroot/types.ts";
import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { makeDirectoryAt, openDirectory } from "../kernel/file.ts";
import { parentOf } from "../kernel/names.ts";
import { exists, nodeFs } from "../kernel/trusted.ts";
import { type Attached, attachPlan, type MakeOurs, oursFor } from "../mount/attach.ts";
import { noteBegun } from "./begun.ts";
import { defaultFilter } from "./environment.ts";
import { heldIds, type Hold, takeHold } from "./hold.ts";
import { checkSessionId, makeSessionId, randomHex } from "./id.ts";
import { chooseUpper, type Layers, makeLayers, makeUnion, syncLayers, type UpperChoice } from "./layers.ts";
import { makeMountPoint } from "./mountpoint.ts";
import { commitMark, mountPointOf, runDir, sessionDir, sessionsDir } from "./paths.ts";
import {
  dialectOf,
  makePlan,
  type MakeUnion,
  type PlanPlaces,
  planViewFor,
  type SessionPlan,
  sourceRoot,
  unionOf,
  unionOptionsOf,
} from "./plan.ts";
import {
  type CommandDefaults,
  recordKind,
  type RecordKind,
  removeRecord,
  type SessionRecord,
  writeRecord,
} from "./record.ts";
import type { Cleared } from "./remains.ts";
import { writeRootFiles } from "./rootfiles.ts";
import { identityOf, lockRoots, type NotedRoots, noteRoots } from "./roots.ts";
import { needsSetup } from "./scripts.ts";
import type { SessionSetup } from "./sessionsetup.ts";
import { findSource, type Source, withScripts } from "./source.ts";
import { explainFull, explainFullLater, isMounted, prepareState } from "./state.ts";
import type { SessionOptions, UnionChoice, Upper } from "./types.ts";
import { undo } from "./undo.ts";

/** A session that was just begun. */
export interface Begun {
  readonly record: Omit<SessionRecord, "version">;
  readonly mountPoint: string;
  /** What had to be left out, a line each. */
  readonly warnings: readonly string[];
}

/**
 * Begins a session on a chroot, or on the host's own root, that lasts until it is ended.
 * Killed at any instant, it is whole or gone: until its record is renamed into place, what was made is a leftover
 * that the next command clears away.
 * @param asked a chroot or its name or alias, or "host"
 * @throws {UserError} not-found, exists, config, unsupported, no-space
 */
export async function beginSession(asked: string | Chroot, options: SessionOptions = {}): Promise<Begun> {
  const { hold, begun } = await makeSession(asked, options, "named");
  // The session is whole: a mark that can't be removed says nothing any more, and goes with the next command.
  await undo(() => hold.release());
  hold[Symbol.dispose]();
  return begun;
}

/** Begins a session whose life is the caller's: it stays held, and is ended with endAutomatic(). */
export function beginAutomatic(asked: string | Chroot, options: SessionOptions): Promise<{ hold: Hold; begun: Begun }> {
  return makeSession(asked, options, "automatic");
}

async function makeSession(
  asked: string | Chroot,
  options: SessionOptions,
  kind: RecordKind,
): Promise<{ hold: Hold; begun: Begun }> {
  if (options.name !== undefined) checkSessionId(options.name);
  const found: Source =
    options.isHost === true && typeof asked !== "string" ? { kind: "host", name: asked.name } : await findSource(asked);
  if (found.kind === "host" && options.source === true)
    throw new UserError("usage", "this machine's own root can't be a source chroot", {
      hint: "change it without Fallthru",
    });
  prepareState();
  const source = await withScripts(found, typeof asked === "string" ? asked : asked.name);
  const stuck = await clearAway();
  const union = unionOf(source, options);
  const choice = chooseUpper(options.upper ?? describedUpper(source, union), union);
  const id = options.name ?? makeSessionId(nameOf(source));
  const hold = await claimSession(id);
  try {
    const begun = await explainFullLater(sessionDir(id), () => build(hold, source, choice, options, kind));
    return { hold, begun: { ...begun, warnings: [...stuck.map(warnOfStuck), ...begun.warnings] } };
  } catch (error) {
    await (await import("./remains.ts")).undoSession(hold, options.setup);
    throw error;
  }
}

/** What killed processes left. Nothing is loaded for it where there is nothing, as nearly always. @returns what can't be cleared */
async function clearAway(): Promise<Cleared["stuck"]> {
  return heldIds().length === 0 ? [] : (await (await import("./remains.ts")).clearLeftovers()).stuck;
}

/**
 * Takes an id for a new session, and makes its directory. From here on undoSession() takes back what is made.
 * @throws {UserError} exists
 */
export async function claimSession(id: string): Promise<Hold> {
  const hold = explainFull(sessionsDir, () => takeHold(id));
  if (hold === undefined) throw taken(id);
  try {
    refuseStrayMount(id);
    await makeDirectory(hold);
  } catch (error) {
    hold.release();
    throw error;
  }
  return hold;
}

function nameOf(source: Source): string {
  return source.kind === "host" ? source.name : source.chroot.name;
}

/** Where union-overlay-directory says that changes are kept. */
function describedUpper(source: Source, union: UnionChoice): Upper | undefined {
  const path = union === "none" ? undefined : unionOptionsOf(source)?.overlayDirectory;
  if (path === undefined) return undefined;
  nodeFs().mkdirSync(path, { recursive: true, mode: 0o755 });
  return { kind: "directory", path };
}

function warnOfStuck({ id, reason, commit }: Cleared["stuck"][number]): string {
  if (id === commitMark)
    return `commit ${commit ?? ""} was left by a process that was killed, and can't be finished: ${reason}`;
  return `session ${id} was left by a process that was killed, and can't be cleared away: ${reason}`;
}

/** Something that isn't ours stands where the session's mounts belong: it is none of ours to take away. */
function refuseStrayMount(id: string): void {
  const mountPoint = mountPointOf(id);
  if (!isMounted(mountPoint) || exists(sessionDir(id))) return;
  throw new UserError("busy", `something is mounted on ${mountPoint} already`, {
    hint: `unmount it (umount ${mountPoint}), or take another --name`,
  });
}

async function makeDirectory(hold: Hold): Promise<void> {
  const { id } = hold;
  const make = () =>
    unless(["EEXIST"], () => {
      explainFull(sessionDir(id), () => makeDirectoryAt(null, sessionDir(id), 0o700));
      return "made";
    });
  if (make() !== undefined) return;
  if (recordKind(id) !== "named") {
    // Nobody else holds it, and a power cut took the mark that somebody did.
    await (await import("./remains.ts")).removeRemains(hold);
    if (make() !== undefined) return;
  }
  throw taken(id);
}

export function taken(id: string): UserError {
  return new UserError("exists", `session ${id} exists already`, {
    hint: `run in it: fallthru run @${id}; or end it: fallthru end @${id}`,
  });
}

async function build(
  hold: Hold,
  source: Source,
  choice: UpperChoice,
  options: SessionOptions,
  kind: RecordKind,
): Promise<Begun> {
  const { id } = hold;
  using dir = openDirectory(sessionDir(id));
  const { upper, type } = choice;
  const isRepeated = kind === "automatic" && options.name !== undefined;
  const layers = makeLayers(id, dir, upper, isRepeated ? "each time" : "by name");
  const { root, made } = await provideRoot(hold, dir, layers, source, options);
  const { limits = {} } = options;
  if (Object.keys(limits).length > 0) (await import("./cgroup.ts")).makeControlGroups(id, limits);
  const style = { type, volatile: kind === "automatic" || upper.kind === "tmpfs", ...dialectOf(source) };
  const adjust = await adjustmentOf(source, options, root);
  const planView = await planViewFor(source);
  const plan = explainFull(layers.base, () => {
    let count = 0;
    const makeUnionOf: MakeUnion = (lowers, skeleton) => makeUnion(layers, count++, lowers, style, skeleton);
    return makePlan(source, options, { makeUnion: makeUnionOf, root, planView, ...adjust });
  });
  const setup = await beginSetup({ id, dir, source, plan, made }, options);
  await setup?.start("setup-start", "unmounted");
  const ours = await oursFor(plan.mounts);
  const { attached, roots } = explainFull(layers.base, () => {
    const mount = () => mountTree(id, plan, { visitor: options.visitor, ours });
    if (source.kind === "host") return { attached: mount(), roots: undefined };
    return mountNoted(plan, { base: layers.base, root, made }, mount);
  });
  await setup?.start("setup-start", "mounted");
  const record: Omit<SessionRecord, "version"> = {
    id,
    chroot: nameOf(source),
    ...asAskedFor(options),
    upper,
    plan: plan.mounts,
    ...(roots === undefined ? {} : { roots }),
    unionOptions: attached.unionOptions,
    files: plan.files,
    begun: noteBegun(plan.mounts),
    command: commandDefaults(source),
  };
  if (kind === "named") await syncLayers(layers, source.kind === "chroot" && source.root.kind === "archive");
  if (options.schrootFile !== undefined) await noteForSchroot(id, options.schrootFile, made);
  writeRecord(dir, record, kind);
  refuseJustReplaced(plan, roots, dir);
  return { record, mountPoint: mountPointOf(id), warnings: [...plan.warnings, ...attached.warnings] };
}

async function noteForSchroot(id: string, text: string, made: string): Promise<void> {
  const [{ writeSchrootFile }, { madeName }] = await Promise.all([import("./schrootfile.ts"), import("./types.ts")]);
  writeSchrootFile(id, text.replaceAll(madeName, made));
}

/**
 * An update leaves a root alone that a session writes to itself, where it sees the session: where it looked before the record
 * was there, the session has what isn't the chroot's root any more.
 */
function refuseJustReplaced({ mounts }: SessionPlan, roots: NotedRoots | undefined, dir: Fd): void {
  const [first] = mounts.steps;
  const noted = first?.kind === "bind" ? roots?.[first.from] : undefined;
  if (first?.kind !== "bind" || noted === undefined) return;
  using _ = lockRoots("shared");
  if (identityOf(first.from) === noted) return;
  removeRecord(dir);
  throw new UserError("busy", `${first.from} was updated at this moment`, { hint: "do it again" });
}

/** The path of the chroot's root, which is made where it isn't a directory that is there already; and what that is called. */
async function provideRoot(
  hold: Hold,
  dir: Fd,
  { base }: Layers,
  source: Source,
  options: SessionOptions,
): Promise<{ root: string; made: string }> {
  if (source.kind === "host") return { root: "/", made: "" };
  const root = sourceRoot(source, options);
  if (root.kind === "directory") return { root: root.path, made: "" };
  const [{ makeRoot }, { accessOf }] = await Promise.all([import("./root/root.ts"), import("./root/note.ts")]);
  const access = accessOf(root, unionOf(source, options), options.source === true);
  const note = { root, access, name: `fallthru-${hold.id}-${randomHex()}`, base };
  return { root: await makeRoot(note, { id: hold.id, dir, hold: hold.file }), made: note.name };
}

/** What union-mount-options changes. */
async function adjustmentOf(
  source: Source,
  options: SessionOptions,
  root: string,
): Promise<Pick<PlanPlaces, "adjust">> {
  const text = options.union === undefined ? (unionOptionsOf(source)?.mountOptions ?? "") : "";
  if (text === "") return {};
  const { adjustUnion } = await import("./unionoptions.ts");
  return { adjust: (union) => adjustUnion(union, text, root) };
}

/** Nothing is loaded for it where an administrator has no scripts. */
async function beginSetup(
  { id, dir, source, plan, made }: { id: string; dir: Fd; source: Source; plan: SessionPlan; made: string },
  { setup = {}, source: isSource = false }: SessionOptions,
): Promise<SessionSetup | undefined> {
  if (source.kind === "host" || source.scripts === undefined) return undefined;
  if (!needsSetup(source.scripts, source.chroot, setup)) return undefined;
  const { SessionSetup } = await import("./sessionsetup.ts");
  const [first] = plan.mounts.steps;
  const union =
    first?.kind === "union"
      ? { overlay: parentOf(first.union.upper), underlay: first.union.lowers.at(-1) ?? "" }
      : undefined;
  const { chroot, selectedName = chroot.name } = source;
  const snapshot = made === "" ? undefined : made;
  return SessionSetup.begin(dir, { id, chroot, union, isSource, snapshot, selectedName }, setup);
}

const roomInMemory = `end sessions, or give it more: mount -o remount,nr_inodes=0,size=50% ${runDir}`;

/** All that is written here goes to the layers, or to a root that is to be changed. */
function mountTree(
  id: string,
  { mounts, files }: SessionPlan,
  { visitor, ours }: { visitor: number | undefined; ours: MakeOurs | undefined },
): Attached {
  const mountPoint = explainFull(runDir, () => makeMountPoint(id, visitor), roomInMemory);
  return attachPlan(mounts, mountPoint, { ours, prepare: (root) => writeRootFiles(root, files) });
}

function asAskedFor({ ttlSeconds, network = "host", hostname, visitor, limits = {} }: SessionOptions) {
  const createdMs = Date.now();
  return {
    createdMs,
    ...(ttlSeconds === undefined ? {} : { expiresMs: createdMs + ttlSeconds * 1000 }),
    network,
    ...(hostname === undefined ? {} : { hostname }),
    ...(visitor === undefined ? {} : { visitor }),
    limits,
  };
}

/** What is noted is what is mounted: no update comes in between. */
function mountNoted(
  { mounts }: SessionPlan,
  { base, root, made }: { base: string; root: string; made: string },
  mount: () => Attached,
): { attached: Attached; roots: NotedRoots } {
  using _ = lockRoots("shared");
  const roots = noteRoots(mounts, (path) => path.startsWith(`${base}/`) || (made !== "" && path === root));
  return { roots, attached: mount() };
}

function commandDefaults(source: Source): CommandDefaults {
  // A view of the host is the caller's own machine: their variables mean the same in it.
  if (source.kind === "host") return { prefix: [], personality: "undefined", preserveEnvironment: true };
  const { commandPrefix, shell, personality, preserveEnvironment, environmentFilter } = source.chroot;
  return {
    prefix: commandPrefix,
    shell,
    personality,
    preserveEnvironment,
    environmentFilter: environmentFilter ?? defaultFilter,
  };
}
