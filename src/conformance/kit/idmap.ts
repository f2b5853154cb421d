import { closeSync, openSync, writeFileSync } from "node:fs";
import { AT } from "../../kernel/abi/file.ts";
import { MOVE_MOUNT, SYS } from "../../kernel/abi/mount.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { AT_FDCWD, call, path as cString } from "./kernel.ts";
import { line, start } from "./program.ts";

const mountSetattr_ = call("syscall", "long", ["long", "int", "void *", "unsigned int", "void *", "size_t"]);
const moveMount_ = call("syscall", "long", ["long", "int", "void *", "int", "void *", "unsigned int"]);
const MOUNT_ATTR_IDMAP = 0x100000n; // include/uapi/linux/mount.h

/** Shows a directory at `target` too, where the ids from 0 on are those from `first` on. @see mount_setattr(2) */
export async function bindIdmapped(source: string, target: string, first: number, count: number): Promise<void> {
  const holder = start(["unshare", "--user", "sh", "-c", "echo; exec sleep 60"]);
  await line(holder);
  for (const kind of ["uid", "gid"]) writeFileSync(`/proc/${holder.pid}/${kind}_map`, `0 ${first} ${count}`);
  const names = openSync(`/proc/${holder.pid}/ns/user`, "r");
  using copy = cloneMount(null, source);
  const attributes = new Uint8Array(BigUint64Array.of(MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(names)).buffer);
  mountSetattr_(SYS.mount_setattr, copy.number, cString(""), AT.EMPTY_PATH, attributes, attributes.length);
  closeSync(names);
  moveMount_(SYS.move_mount, copy.number, cString(""), AT_FDCWD, cString(target), MOVE_MOUNT.F_EMPTY_PATH);
}
