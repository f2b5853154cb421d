import { existsSync, realpathSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openDirectory, removeDirectoryAt } from "../kernel/file.ts";
import { detachMount } from "../kernel/mount.ts";
import { removeTree } from "../layer/remove.ts";
import { askToEnd, killInside, lookInside } from "./processes.ts";
import { usualGraceMs } from "./remains.ts";
import { schrootSessions } from "./paths.ts";
import { runnableScripts } from "./scripts.ts";
import { runSetup, type SetupStep } from "./setup.ts";
import { ownUser, setupVariables, userVariables, type Variables } from "./setupvariables.ts";
import { isMounted } from "./state.ts";
import { isStock } from "./stock.ts";
import type { SetupContext } from "./types.ts";
import { waitedForByOthers } from "./waited.ts";

type Keys = Readonly<Record<string, string>>;

/** Where schroot mounts its sessions; nothing else is unmounted here. */
const schrootMounts = "/run/schroot/mount";

/** Where schroot unpacks the archives of its sessions. */
const schrootUnpacked = "/var/lib/schroot/unpack";

/**
 * Ends a session that a real schroot has begun, by schroot's own scripts and the administrator's. The processes are asked to
 * end all at once, and what is mounted is detached before schroot's scripts come to it, so that neither a
 * stubborn daemon nor somebody who stands inside holds them up. Where schroot's scripts are gone, what they would remove is removed
 * here, if it is no volume or snapshot.
 * @param keys of its file in /var/lib/schroot/session
 * @throws {UserError} busy, unsupported; SetupFailed, and then the file is still there
 */
export async function endForeignSession(
  id: string,
  keys: Keys,
  { force = false, setup = {} }: { readonly force?: boolean; readonly setup?: SetupContext } = {},
): Promise<void> {
  const mountPoint = checkPlace(id, keys);
  const names = runnableScripts();
  const isPurged = !names.includes("10mount");
  if (isPurged && !isRemovable(keys)) throw notInstalled(id);
  if (!force) refuseWaitedFor(id, mountPoint);
  const variables = foreignVariables(id, keys, setup);
  const run = (isTurn: (name: string) => boolean) => {
    const steps: SetupStep[] = names.filter(isTurn).map((name) => ({ name, isWhole: true }));
    return runSetup("setup-stop", "ok", variables, { steps, context: setup });
  };
  await run((name) => name >= "15killprocs" && !(name === "15killprocs" && isStock(name)));
  const asked = new Set<number>();
  if (!force) await askToEnd(mountPoint, usualGraceMs, asked);
  killInside(mountPoint, undefined, asked);
  await run((name) => name > "10mount" && name < "15killprocs");
  detachAll(mountPoint);
  const underlay = keys["union-underlay-directory"] ?? "";
  if (underlay.endsWith(`/${id}`)) detachAll(underlay);
  await run((name) => name <= "10mount");
  if (isPurged) removePlaces(id, keys);
  unless(["ENOENT"], () => unlinkSync(`${schrootSessions}/${id}`));
}

/** Has schroot's scripts mount one again, after a restart of the machine. @throws {SetupFailed} */
export async function recoverForeignSession(id: string, keys: Keys, setup: SetupContext): Promise<void> {
  checkPlace(id, keys);
  const steps = runnableScripts().map((name): SetupStep => ({ name, isWhole: true }));
  if (!steps.some(({ name }) => name === "10mount")) throw notInstalled(id);
  await runSetup("setup-recover", "ok", foreignVariables(id, keys, setup), { steps, context: setup });
}

/** Whether all that the session consists of is directories and mounts. A source's archive would have to be packed anew. */
function isRemovable({ type = "", "file-repack": repack = "" }: Keys): boolean {
  return ["directory", "loopback", "block-device"].includes(type) || (type === "file" && repack === "false");
}

/** What 05file, 05union and 10mount do at the end, once nothing is mounted: where schroot was purged with sessions open. */
function removePlaces(id: string, keys: Keys): void {
  removeFrom(schrootMounts, id, removeDirectoryAt);
  if (keys["type"] === "file") removeFrom(schrootUnpacked, id, removeTree);
  const { "union-underlay-directory": underlay = "", "union-overlay-directory": overlay = "" } = keys;
  if (underlay.endsWith(`/${id}`)) removeFrom(dirname(underlay), id, removeDirectoryAt);
  if (overlay.endsWith(`/${id}`)) removeFrom(dirname(overlay), id, removeTree);
}

function removeFrom(path: string, name: string, remove: (directory: Fd, name: string) => void): void {
  unless(["ENOENT"], () => {
    using directory = openDirectory(path);
    remove(directory, name);
  });
}

function detachAll(path: string): void {
  for (;;) {
    if (!isMounted(path)) return;
    detachMount(path);
  }
}

/** @returns the path without links, as /proc tells it */
function checkPlace(id: string, keys: Keys): string {
  const place = (keys["mount-location"] ?? "").replace(/^\/var\/run\//, "/run/");
  if (place !== `${schrootMounts}/${id}`) {
    throw new UserError("unsupported", `session ${id} is mounted on ${place}, where schroot mounts none`, {
      hint: `remove it by hand, and then ${schrootSessions}/${id}`,
    });
  }
  return existsSync(place) ? realpathSync(place) : place;
}

function notInstalled(id: string): UserError {
  return new UserError("unsupported", `session ${id} was begun by schroot, whose scripts are gone`, {
    hint: `unmount what is below ${schrootMounts}/${id}, and remove ${schrootSessions}/${id}`,
  });
}

function refuseWaitedFor(id: string, mountPoint: string): void {
  const [first] = waitedForByOthers(lookInside(mountPoint).inside);
  if (first === undefined) return;
  throw new UserError("busy", `somebody's command runs in session ${id}: ${first.pid} (${first.command})`, {
    hint: "end it and the session with --force",
  });
}

function foreignVariables(id: string, keys: Keys, { user = ownUser(), verbosity }: SetupContext): Variables {
  const mountPoint = keys["mount-location"] ?? "";
  const name = keys["original-name"] ?? id;
  const overlay = keys["union-overlay-directory"] ?? "";
  const underlay = keys["union-underlay-directory"] ?? "";
  const variables = setupVariables(keys, {
    id,
    mountPoint,
    mountDirectory: `/var${schrootMounts}`,
    path: keys["type"] === "directory" ? mountPoint : `${mountPoint}${keys["location"] ?? ""}`,
    name,
    selectedName: keys["selected-name"] ?? name,
    // As schroot has it, which has forgotten it by then.
    isSource: false,
    union: overlay === "" ? undefined : { overlay, underlay },
    verbosity: verbosity ?? keys["message-verbosity"] ?? "normal",
  });
  return { ...variables, ...userVariables(user) };
}
