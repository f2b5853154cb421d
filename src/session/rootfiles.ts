import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { type Attr, isRegularFile, openAt, readAll, statAt } from "../kernel/file.ts";
import { readText } from "../kernel/trusted.ts";
import { isNobodys } from "../kernel/userspace.ts";
import { copyInto, copyIntoDirectory, linkInto, openParent, readInside } from "../layer/inside.ts";
import { existsInside } from "./environment.ts";
import { isAccounts, mergeDatabase, withAccount, withGroups } from "./nss.ts";
import type { ExtraFiles } from "./types.ts";

/** What a profile has copied from the host into the root: files, and name-service databases. */
export interface RootFiles {
  readonly copies: readonly { readonly from: string; readonly to: string }[];
  readonly databases: readonly { readonly name: string; readonly mode: "merge" | "replace" }[];
  /** For /etc/debian_chroot, which shells show in their prompt. */
  readonly name?: string;
  readonly extra?: ExtraFiles;
}

/** Where the databases of nsswitch.conf(5) lie; `shadow` and `gshadow` are readable by the superuser only. */
const restricted = new Set(["shadow", "gshadow"]);

/** Writes the profile's files into a root. Nothing is written where the content is equal already. */
export function writeRootFiles(root: Fd, files: RootFiles): void {
  for (const { from, to } of files.copies) copyFile(root, from, to);
  if (files.name !== undefined) {
    copyInto(root, "/etc/debian_chroot", Buffer.from(`${files.name}\n`), defaultAttr("debian_chroot"));
  }
  if (files.databases.length > 0) {
    const remote = remoteDatabases();
    using etc = openParent(root, "/etc/passwd", "make");
    for (const { name, mode } of files.databases) writeDatabase(etc, name, mode, remote.has(name));
  }
  if (files.extra !== undefined) writeExtra(root, files.extra);
}

function writeExtra(root: Fd, { account, written, links }: ExtraFiles): void {
  for (const { path, text, mode } of written) {
    copyInto(root, path, Buffer.from(text), { ...defaultAttr(path), mode });
  }
  for (const { path, target } of links) linkInto(root, path, target);
  if (account === undefined) return;
  using etc = openParent(root, "/etc/passwd", "make");
  const change = (name: string, edit: (text: string) => string): void => {
    const old = readInside(etc, name)?.toString("latin1") ?? "";
    const attr = unless(["ENOENT"], () => statAt(etc, name));
    const content = Buffer.from(edit(old), "latin1");
    if (content.toString("latin1") !== old) copyIntoDirectory(etc, name, content, attr ?? defaultAttr(name));
  };
  change("passwd", (text) => withAccount(text, { ...account, shell: realShell(root, text, account) }));
  change("group", (text) => withGroups(text, account.groups));
}

/** A shell of ours can't be one inside, where nobody would begin a session for it. */
const ownShell = /\/(?:fallthru-login|fallthru)$/;

/** The person's shell: one of the candidates, else what the root's passwd(5) says, else any. */
function realShell(root: Fd, passwd: string, { name, shells }: { name: string; shells: readonly string[] }): string {
  const entry = passwd.split("\n").find((line) => line.startsWith(`${Buffer.from(name).toString("latin1")}:`));
  const candidates = [...shells, entry?.split(":")[6] ?? "", "/bin/bash"];
  return (
    candidates.find((path) => path.startsWith("/") && !ownShell.test(path) && existsInside(root, path)) ?? "/bin/sh"
  );
}

/** A file that the host doesn't have is passed over, as schroot does. */
function copyFile(root: Fd, from: string, to: string): void {
  const opened = unless(["ENOENT"], () => openAt(null, from, O.RDONLY | O.NONBLOCK));
  if (opened === undefined) return;
  using file = opened;
  const attr = statAt(file);
  if (!isRegularFile(attr))
    throw new UserError("config", `${from}, named in the profile's copyfiles, is not a regular file`);
  copyInto(root, to, readAll(file, attr.size), ownedInside(attr));
}

/** In a user's session what is the machine's superuser's belongs to the session's. */
function ownedInside(attr: Attr): Attr {
  return isNobodys(attr) ? { ...attr, uid: 0, gid: 0 } : attr;
}

function writeDatabase(etc: Fd, name: string, mode: "merge" | "replace", isRemote: boolean): void {
  const host = isRemote ? getent(name) : readHost(`/etc/${name}`);
  if (host === undefined) return;
  const own = mode === "merge" && isAccounts(name) ? readInside(etc, name) : undefined;
  const content = own === undefined ? host.content : mergeAccounts(name, own, host.content);
  copyIntoDirectory(etc, name, content, host.attr ?? defaultAttr(name));
}

/** latin1, so that every byte survives. */
function mergeAccounts(name: string, own: Buffer, host: Buffer): Buffer {
  if (own.equals(host)) return host;
  return Buffer.from(mergeDatabase(name, own.toString("latin1"), host.toString("latin1")), "latin1");
}

function readHost(path: string): { content: Buffer; attr: Attr } | undefined {
  const opened = unless(["ENOENT"], () => openAt(null, path, O.RDONLY));
  if (opened === undefined) return undefined;
  using file = opened;
  const attr = ownedInside(statAt(file));
  return { content: readAll(file, attr.size), attr };
}

/** Users and groups that are not in files: from LDAP and the like. @see getent(1) */
function getent(name: string): { content: Buffer; attr?: Attr } | undefined {
  // Loaded here: it costs every start half a millisecond, and few machines need it.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const result = spawnSync("getent", [name], {
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
    // Not a program that the caller put in its place.
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
  });
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
  const text = unless(["ENOENT"], () => readText("/etc/nsswitch.conf")) ?? "";
  const remote = new Set<string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0 || line.startsWith("#")) continue;
    if (
      line
        .slice(colon + 1)
        .split(" ")
        .some(isRemoteService)
    )
      remote.add(line.slice(0, colon).trim());
  }
  return remote;
}

const localServices = new Set(["", "files", "compat", "systemd", "db", "myhostname", "mymachines", "dns"]);

/** A word of nsswitch.conf(5): a service, or an action in brackets. */
function isRemoteService(word: string): boolean {
  const service = word.trim();
  return (
    !localServices.has(service) && !service.startsWith("mdns") && !service.startsWith("[") && !service.endsWith("]")
  );
}
