import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  lock,
  makeDirectoryAt,
  openAt,
  openDirectory,
  readAll,
  readDirectory,
  statAt,
  tryLock,
  writeAll,
} from "../../kernel/file.ts";
import { heldDir, sessionsDir, stateDir } from "../paths.ts";
import { pause } from "../pause.ts";

/**
 * The one user name space and mount name space that all sessions of a user live in. A process that does nothing keeps
 * them (start.ts). It holds a lock on `space`, which has its process id: the lock dies with it, however it dies. Whoever works
 * in them, or is about to, shares a lock on `space.users`; the last one to leave, where there is no session, ends the keeper.
 */
export interface Space extends Disposable {
  /** Open: what they lead to can't be another process's. */
  readonly user: Fd;
  readonly mount: Fd;
}

const spaceFile = `${stateDir}/space`;
const usersFile = `${stateDir}/space.users`;

/** How long somebody may take to start the keeper. */
const patienceMs = 20_000;

/** Shares the lock that keeps the name spaces from being ended; undefined where nothing of the user's was ever begun. */
export function shareSpace(make: "make" | "leave"): Fd | undefined {
  if (make === "make") makeState();
  const [flags, mode] = make === "make" ? [O.RDWR | O.NOFOLLOW | O.CREAT, 0o600] : [O.RDWR | O.NOFOLLOW, 0];
  const users = unless(["ENOENT", "ENOTDIR"], () => openAt(null, usersFile, flags, { mode }));
  if (users === undefined) return undefined;
  checkOwn();
  lock(users, "shared");
  return users;
}

/** The directories above are made as the XDG specification has them: for nobody else. */
function makeState(): void {
  const parts = stateDir.split("/").slice(1);
  for (const [index] of parts.entries()) {
    const path = `/${parts.slice(0, index + 1).join("/")}`;
    try {
      makeDirectoryAt(null, path, 0o700);
    } catch (error) {
      if (isErrno(error, "EEXIST")) continue;
      // Where it is there, nobody asks who may make another: EACCES and EROFS come before EEXIST on some file systems.
      if (unless(["ENOENT", "EACCES"], () => statAt(null, path)) !== undefined) continue;
      throw new UserError("failed", `make ${path}: ${error instanceof Error ? error.message : String(error)}`, {
        hint: "is HOME yours? XDG_STATE_HOME=DIR says where else sessions may be kept",
        cause: error,
      });
    }
  }
}

/** What somebody else could have put there says nothing. */
function checkOwn(): void {
  using state = openAt(null, stateDir, O.RDONLY | O.DIRECTORY);
  const { uid, mode } = statAt(state);
  if (uid === process.geteuid?.() && (mode & 0o022) === 0) return;
  const others = uid === process.geteuid?.() ? "others may write to it" : `user ${uid} owns it`;
  throw new UserError("failed", `${stateDir} is not only yours: ${others}`, {
    hint: "is HOME yours? XDG_STATE_HOME=DIR says where else sessions may be kept",
  });
}

/** The name spaces, where they are kept; waits where somebody is just starting the keeper. */
export function findSpace(): Space | undefined {
  const opened = unless(["ENOENT"], () => openAt(null, spaceFile, O.RDWR | O.NOFOLLOW));
  if (opened === undefined) return undefined;
  using file = opened;
  const deadline = Date.now() + patienceMs;
  for (;;) {
    if (tryLock(file, "shared")) return undefined;
    const keeper = readKeeper();
    const space = keeper === undefined ? undefined : openSpaceOf(keeper.pid);
    // Kept until now: then they were the keeper's.
    if (space !== undefined && !tryLock(file, "shared")) return space;
    space?.[Symbol.dispose]();
    if (Date.now() > deadline)
      throw new UserError("busy", `another process starts the name spaces, and doesn't get on`);
    pause(1);
  }
}

export function openSpaceOf(pid: number | string): Space | undefined {
  const open = (name: string) =>
    unless(["ENOENT", "ESRCH", "EACCES"], () => openAt(null, `/proc/${pid}/ns/${name}`, O.RDONLY));
  const user = open("user");
  const mount = open("mnt");
  const close = () => {
    user?.close();
    mount?.close();
  };
  if (user !== undefined && mount !== undefined) return { user, mount, [Symbol.dispose]: close };
  close();
  return undefined;
}

/** What whoever starts the keeper writes down: its process id, and the names of its name spaces. */
export interface KeeperNote {
  readonly pid: number;
  readonly user: string;
  readonly mount: string;
}

export function writeKeeper(file: Fd, { pid, user, mount }: KeeperNote): void {
  writeAll(file, Buffer.from(`${pid} ${user} ${mount}\n`));
}

/** The last keeper, whether it lives or was killed; undefined while it is being started, and after its end. */
export function readKeeper(): KeeperNote | undefined {
  const opened = unless(["ENOENT"], () => openAt(null, spaceFile, O.RDONLY | O.NOFOLLOW));
  if (opened === undefined) return undefined;
  using file = opened;
  const [pid = "", user = "", mount = ""] = readAll(file).toString("latin1").trim().split(" ");
  return mount === "" ? undefined : { pid: Number(pid), user, mount };
}

/** The file that whoever keeps the name spaces has locked, locked; undefined where somebody else has it by now. */
export function claimSpace(): Fd | undefined {
  const file = openAt(null, spaceFile, O.RDWR | O.CREAT | O.NOFOLLOW, { mode: 0o600 });
  if (tryLock(file, "exclusive")) return file;
  file.close();
  return undefined;
}

/** Called by who leaves: ends the keeper where nobody else works in the name spaces, and no session is in them. */
export function leaveSpace(users: Fd): void {
  // Of two who leave at once one gets it: neither has the shared lock any more.
  if (!tryLock(users, "exclusive") || hasSessions()) return;
  const keeper = readKeeper();
  if (keeper === undefined) return;
  using file = openAt(null, spaceFile, O.RDWR | O.NOFOLLOW);
  if (tryLock(file, "shared")) return;
  try {
    process.kill(keeper.pid, "SIGKILL");
  } catch (error) {
    // Somebody else has killed it just now.
    if (!isErrno(error, "ESRCH")) throw error;
  }
  // Whoever comes before it is dead takes it for one that is just being started, and waits; and nobody looks for what is gone.
  openAt(null, spaceFile, O.WRONLY | O.TRUNC | O.NOFOLLOW).close();
}

function hasSessions(): boolean {
  return [sessionsDir, heldDir].some((path) => {
    const opened = unless(["ENOENT"], () => openDirectory(path));
    if (opened === undefined) return false;
    using directory = opened;
    // No session's name begins with a dot.
    return [...readDirectory(directory)].some(({ name }) => name[0] !== 0x2e);
  });
}
