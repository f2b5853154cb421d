import { realpathSync } from "node:fs";
import { type ErrorCode, UserError } from "../../error.ts";
import { isErrno } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { ioctl, openDirectory } from "../../kernel/file.ts";
import { openLayerRoot } from "../../layer/layer.ts";
import { readMountInfo } from "../mountinfo.ts";
import { CHANGE_BYTES, changeCommand, type LayerChange, type Refusal, textOf } from "./changes.ts";
import { layersOfMount } from "./layerlist.ts";

/**
 * Adds a lower to a mounted union of ours, or removes one.
 * @param target where it is mounted; @param path the lower's directory, absolute
 * @throws {UserError} not-found: no union of ours, or no such lower; busy: something in it is in use
 */
export function changeLayers(target: string, action: LayerChange["action"], path: string): void {
  layersOfMount(target);
  checkNothingMounted(target);
  using root = openDirectory(target);
  const id = `${process.pid}-${Date.now()}`;
  if (action === "remove") {
    ask(root, { id, action, path });
    return;
  }
  using directory = openLayerRoot(path, "noatime");
  ask(root, { id, action, path, descriptor: directory.number });
}

/** The kernel drops the names that it has cached of the union, and with a name what is mounted there. */
function checkNothingMounted(target: string): void {
  const place = realpathSync(target);
  const inside = readMountInfo().find(({ mountPoint }) => mountPoint.startsWith(`${place === "/" ? "" : place}/`));
  if (inside === undefined) return;
  throw new UserError("busy", `${inside.mountPoint} is mounted in the union, and would be unmounted`, {
    hint: "unmount it first; the layers of a session are those that it began with",
  });
}

function ask(root: Fd, change: LayerChange): void {
  const message = Buffer.alloc(CHANGE_BYTES);
  const text = JSON.stringify(change);
  if (Buffer.byteLength(text) >= CHANGE_BYTES) throw new UserError("usage", "the directory's name is too long");
  message.write(text);
  try {
    ioctl(root, changeCommand, message, "change layers");
  } catch (error) {
    if (!isErrno(error, "EPERM", "EACCES")) throw error;
    throw new UserError("failed", "only the superuser changes the layers of a mounted union", { cause: error });
  }
  const answer = textOf(message);
  if (answer === "") return;
  const { code, message: why, hint } = JSON.parse(answer) as Refusal;
  throw new UserError(code as ErrorCode, why, { hint });
}
