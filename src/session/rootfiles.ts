import { readFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { type Attr, isRegularFile, openAt, readAll, statAt } from "../kernel/file.ts";
import { copyInto, readInside } from "../layer/inside.ts";
import { mergeDatabase } from "./nss.ts";

/** What a profile has copied from the host into the root: files, and name-service databases. */
export interface RootFiles {
  readonly copies: readonly { readonly from: string; readonly to: string }[];
  readonly databases: readonly { readonly name: string; readonly mode: "merge" | "replace" }[];
}

/** Where the databases of nsswitch.conf(5) lie; `shadow` and `gshadow` are readable by the superuser only. */
const restricted = new Set(["shadow", "gshadow"]);

/** Writes the profile's files into a root. Nothing is written where the content is equal already. */
export function writeRootFiles(root: Fd, files: RootFiles): void {
  for (const { from, to } of files.copies) copyFile(root, from, to);
  if (files.databases.length === 0) return;
  const remote = remoteDatabases();
  for (const { name, mode } of files.databases) writeDatabase(root, name, mode, remote.has(name));
}

/** A file that the host doesn't have is passed over, as schroot does. */
function copyFile(root: Fd, from: string, to: string): void {
  const opened = unless(["ENOENT"], () => openAt(null, from, O.RDONLY | O.NONBLOCK));
  if (opened === undefined) return;
  using file = opened;
  const attr = statAt(file);
  if (!isRegularFile(attr)) throw new UserError("config", `${from}, named in the profile's copyfiles, is not a regular file`);
  copyInto(root, to, readAll(file), attr);
}

function writeDatabase(root: Fd, name: string, mode: "merge" | "replace", isRemote: boolean): void {
  const path = `/etc/${name}`;
  const host = isRemote ? getent(name) : readHost(path);
  if (host === undefined) return;
  const own = mode === "merge" ? readInside(root, path) : undefined;
  const content = own === undefined ? host.content : Buffer.from(mergeDatabase(name, own.toString("latin1"), host.content.toString("latin1")), "latin1");
  copyInto(root, path, content, host.attr ?? defaultAttr(name));
}

function readHost(path: string): { content: Buffer; attr: Attr } | undefined {
  const opened = unless(["ENOENT"], () => openAt(null, path, O.RDONLY));
  if (opened === undefined) return undefined;
  using file = opened;
  return { content: readAll(file), attr: statAt(file) };
}

/** Users and groups that are not in files: from LDAP and the like. @see getent(1) */
function getent(name: string): { content: Buffer; attr?: Attr } | undefined {
  // Loaded here: it costs every start half a millisecond, and few machines need it.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const result = spawnSync("getent", [name], { stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 28 });
  if (result.error !== undefined || result.status !== 0) {
    throw new UserError("failed", `getent ${name} can't list the host's ${name} database`, { cause: result.error });
  }
  const host = readHost(`/etc/${name}`);
  return host === undefined ? { content: result.stdout } : { content: result.stdout, attr: host.attr };
}

function defaultAttr(name: string): Pick<Attr, "mode" | "uid" | "gid" | "mtimeNs"> {
  return { mode: restricted.has(name) ? 0o640 : 0o644, uid: 0, gid: 0, mtimeNs: BigInt(Date.now()) * 1_000_000n };
}

/** The databases for which nsswitch.conf names more than local files: only those cost a getent(1) each. */
function remoteDatabases(): Set<string> {
  const text = unless(["ENOENT"], () => readFileSync("/etc/nsswitch.conf", "utf8")) ?? "";
  const local = new Set(["files", "compat", "systemd", "db", "myhostname", "mymachines", "dns"]);
  const remote = new Set<string>();
  for (const line of text.split("\n")) {
    const [name = "", sources] = line.replace(/#.*/, "").split(":", 2);
    if (sources === undefined) continue;
    const words = sources.replace(/\[[^\]]*\]/g, " ").split(/\s+/).filter((word) => word !== "");
    if (words.some((word) => !local.has(word) && !word.startsWith("mdns"))) remote.add(name.trim());
  }
  return remote;
}
