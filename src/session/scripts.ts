import { areAsTheyWere, keep, parseKept, readKept, settledBy, settledStamps } from "../chroot/kept.ts";
import { unless } from "../kernel/error.ts";
import { type Attr, isDirectory, isRegularFile, statFollowed } from "../kernel/file.ts";
import { exists, namesIn } from "../kernel/trusted.ts";
import type { Chroot } from "../chroot/types.ts";
import { isUsers, places } from "../places.ts";
import type { SetupContext } from "./types.ts";

/** Where schroot keeps the scripts that set a session up and take it down: Debian's, and the administrator's. */
export const setupDirectory = `${places.config}/setup.d`;

/** What a stock script of schroot's does that is a step of our own here. */
export type NativeStep = "copyfiles" | "nssdatabases" | "chrootname" | "binfmt" | "services";

/** What there is to run for a session besides our own steps. */
export interface Scripts {
  /** The administrator's own scripts, and stock ones that were changed: their names, sorted. */
  readonly own: readonly string[];
  /** Our own steps that take the place of a stock script. One that was changed is run instead, one that is gone isn't missed. */
  readonly native: readonly NativeStep[];
}

/** Which emulators there are, is known to this program of Debian's alone. */
export const updateBinfmts = "/usr/sbin/update-binfmts";

const everyStep: readonly NativeStep[] = ["copyfiles", "nssdatabases", "chrootname", "binfmt", "services"];

/** Where schroot was never installed. Emulators are the superuser's to set up. */
const noScripts: Scripts = { own: [], native: isUsers ? everyStep.filter((step) => step !== "binfmt") : everyStep };

/** Whether a session on this chroot needs any of it: then src/session/sessionsetup.ts is loaded. */
export function needsSetup({ own, native }: Scripts, chroot: Chroot, context: SetupContext): boolean {
  if (own.length > 0) return true;
  const services = context.keys?.["setup.services"] ?? chroot.setup.services.join(",");
  if (services !== "" && native.includes("services")) return true;
  return native.includes("binfmt") && exists(updateBinfmts);
}

/** What was found last time, and of which files: to know stock scripts by their content costs 4 ms, this a tenth. */
const keptName = "scripts.json";

/** Finds the scripts; where the files are those of last time, without reading them. To be called after prepareState(). */
export async function findScripts(): Promise<Scripts> {
  const directory = statOf(setupDirectory);
  if (directory === undefined || !isDirectory(directory)) return noScripts;
  const known = parseKept(readKept(keptName)?.toString("utf8") ?? "") as Kept | undefined;
  if (known !== undefined && areAsTheyWere(pathsOf(known.names), known.stamps)) return known.scripts;
  const isSettled = settledBy(Date.now());
  const names = scriptNames();
  // Before they are read: what is changed meanwhile is seen by the next one.
  const stamps = settledStamps(pathsOf(names), isSettled);
  const { sortOut } = await import("./stock.ts");
  const scripts = names.length === 0 ? noScripts : sortOut(names.filter(isRunnable));
  if (stamps !== undefined) keep(keptName, Buffer.from(JSON.stringify({ names, stamps, scripts } satisfies Kept)));
  return scripts;
}

function scriptNames(): string[] {
  return namesIn(setupDirectory).filter(isScriptName).toSorted();
}

/** All of them, also the stock ones: for a session of a real schroot's. */
export function runnableScripts(): string[] {
  const directory = statOf(setupDirectory);
  return directory !== undefined && isDirectory(directory) ? scriptNames().filter(isRunnable) : [];
}

/** The three kinds of names that run-parts(8) takes and schroot with it, without what dpkg puts aside. */
function isScriptName(name: string): boolean {
  const isTaken = /^[a-z0-9][a-z0-9-]*$/.test(name) || /^_?(?:[a-z0-9_.]+-)+[a-z0-9]+$/.test(name); // cron's and LANANA's; LSB's
  return isTaken && !/dpkg-(?:old|dist|new|tmp)$/.test(name);
}

/** The directory, and what it has: where it is the same, so are the names in it. And this program, which knows stock scripts of its own time. */
function pathsOf(names: readonly string[]): string[] {
  const paths = [process.execPath, setupDirectory];
  for (const name of names) paths.push(`${setupDirectory}/${name}`);
  return paths;
}

/** A directory, a link to nowhere and what isn't executable stop schroot altogether. */
function isRunnable(name: string): boolean {
  const stat = statOf(`${setupDirectory}/${name}`);
  return stat !== undefined && isRegularFile(stat) && (stat.mode & 0o111) !== 0;
}

function statOf(path: string): Attr | undefined {
  return unless(["ENOENT", "ENOTDIR"], () => statFollowed(path));
}

interface Kept {
  readonly names: readonly string[];
  /** Of pathsOf() them, one behind the other. */
  readonly stamps: readonly number[];
  readonly scripts: Scripts;
}
