import type { MadeRoot } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { isErrno } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { lock, openAt } from "../../kernel/file.ts";
import { openLoop } from "../../kernel/loop.ts";
import { mountDevice } from "./device.ts";
import type { RootKeeper, RootPlace } from "./keeper.ts";
import { unmountRoot } from "./mounted.ts";

/**
 * A file system in a file. Its loop device frees itself with its last mount, so nothing has to be kept of it; all
 * sessions that only read it share one.
 */
export const image: RootKeeper<MadeRoot & { kind: "image" }> = {
  make: mountImage,
  restore(root, place) {
    mountImage(root, place);
  },
  remove: (_, place) => unmountRoot(place.id),
};

function mountImage(root: MadeRoot & { kind: "image" }, place: RootPlace): string {
  const access = place.access === "lower" ? "read" : "write";
  using file = openAt(null, root.file, access === "read" ? O.RDONLY : O.RDWR);
  // Two at once would make two devices, and the second file system take itself for a copy of the first. The lock has a
  // descriptor of its own, as the device keeps the file's, and a lock on that with it.
  using guard = openAt(null, root.file, O.RDONLY);
  lock(guard, "exclusive");
  using loop = openShared(file, access);
  return mountDevice(loop.path, root.mount, place);
}

function openShared(file: Fd, access: "read" | "write"): Fd {
  try {
    return openLoop(file, access);
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw error;
    const message =
      access === "read"
        ? `${file.path} is being changed: it is mounted for writing`
        : `${file.path} can't be changed: it is mounted for reading, under other sessions`;
    throw new UserError("busy", message, { hint: "end those sessions first: fallthru list", cause: error });
  }
}
