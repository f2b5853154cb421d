import { dirname } from "node:path";
import { type ErrorCode, UserError } from "../../error.ts";
import { attachAt, Connection } from "../../fuse/connection.ts";
import { O } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { makeDirectoryAt, openAt, readAvailable, sameDevice, statAt } from "../../kernel/file.ts";
import { startHelper } from "../../kernel/helper.ts";
import { makeMemoryFile } from "../../kernel/memory.ts";
import { makeSocketPair } from "../../kernel/pass.ts";
import { makePipe } from "../../kernel/self.ts";
import { openLayers } from "../../union/setup.ts";
import { startApart } from "./apart.ts";
import { serverCommand, serverEnvironment } from "./command.ts";
import { descriptorsOf, layersOf } from "./layers.ts";
import { lockLayers } from "./lock.ts";
import type { FallthruMount } from "./options.ts";
import type { ServerError } from "./server.ts";
import { writeOrder } from "./state.ts";

/**
 * Holds the device and the server's state, and does nothing else: while it lives, so does the mount. A server that was
 * killed is started anew, and told how the one before ended; one that ended by itself, because the mount is gone, is not.
 */
const holder =
  'ended=0; while FALLTHRU_ENDED=$ended "$@"; ended=$?; [ $ended -ge 128 ]; do exec 6>/dev/null; done; exit $ended';

/**
 * Mounts a union of ours at a directory, served by a process of its own.
 * @throws {UserError} what is wrong with the layers; {KernelError} EPERM without privilege
 */
export function mountFallthru(mount: FallthruMount, target: string): void {
  using detached = makeFallthru(mount, target);
  attachAt(detached, target);
}

/**
 * Makes a union of ours, detached, with its server running: the server ends when the last one lets go of the mount.
 * @param target where it will be attached, for the log
 */
export function makeFallthru(mount: FallthruMount, target: string): Fd {
  if (mount.lowers.length === 0 && mount.upper === undefined) {
    throw new UserError("usage", "there is nothing to mount", { hint: "-o lowerdir=TOP:…:BOTTOM" });
  }
  if (mount.upper !== undefined && mount.work !== undefined) makeWork(mount.upper, mount.work);
  using opened = new DisposableStack();
  const layers = openLayers(layersOf(mount));
  for (const fd of descriptorsOf(layers)) opened.use(fd);
  lockLayers(mount, layers);
  using connection = new Connection();
  const detached = connection.mount({
    source: mount.source,
    subtype: "fallthru",
    allowOther: true,
    defaultPermissions: true,
    readOnly: mount.readOnly,
    attributes: mount.attributes,
  });
  try {
    startServer(connection.device, mount, target, descriptorsOf(layers));
  } catch (error) {
    detached.close();
    throw error;
  }
  return detached;
}

/** The work directory, where it isn't there yet: on the upper's own file system. */
function makeWork(upper: string, work: string): void {
  if (unless(["ENOENT"], () => statAt(null, work)) !== undefined) return;
  if (!sameDevice(statAt(null, upper), statAt(null, dirname(work)))) {
    throw new UserError("usage", `${work} would be on another file system than ${upper}`, { hint: "-o workdir=DIR" });
  }
  makeDirectoryAt(null, work, 0o700);
}

/** Starts holder and server, and waits until the mount can be looked at. */
function startServer(device: Fd, mount: FallthruMount, target: string, layers: readonly Fd[]): void {
  using state = makeMemoryFile("fallthru-state");
  using journal = makeMemoryFile("fallthru-journal");
  writeOrder(state, { mount, target });
  const sockets = makeSocketPair();
  using keep = sockets[0];
  using kept = sockets[1];
  const others = makeSocketPair();
  using store = others[0];
  using stored = others[1];
  using nothing = openAt(null, "/dev/null", O.RDWR);
  const [reading, writing] = makePipe();
  using ready = reading;
  const argv = ["sh", "-c", holder, "fallthru-holder", ...serverCommand().argv];
  {
    using written = writing;
    const inherited = [
      nothing,
      nothing,
      nothing,
      device,
      state,
      journal,
      written,
      keep,
      kept,
      store,
      stored,
      ...layers,
    ];
    startApart(() => startHelper("/bin/sh", argv, serverEnvironment(), inherited));
  }
  const answer = readAvailable(ready).toString("utf8");
  if (answer === "ready") return;
  if (answer === "") throw new UserError("failed", "the server ended before it was ready");
  const { code, message, hint } = JSON.parse(answer) as ServerError;
  throw new UserError(isErrorCode(code) ? code : "failed", message, { hint });
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && /^[a-z-]+$/.test(code);
}
