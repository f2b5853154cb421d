import { CLONE, F_SETFD, threadCallNumbers } from "./abi/process.ts";
import { O } from "./abi/file.ts";
import { check, errnoName, KernelError } from "./error.ts";
import { Fd } from "./fd.ts";
import { openAt, writeAll } from "./file.ts";
import { type Argument, bare, bareErrno, cString, type Path, quick, withoutErrno } from "./libc.ts";
import { borrowLimits } from "./limits.ts";
import {
  bareSetns,
  bareUnshare,
  changeSpace,
  type Changed,
  closeOnExec,
  enter,
  environmentLines,
  findExecutable,
  isolate,
  ownFileLimits,
  type Program,
  restoreFileLimit,
  setGroups,
  type Surroundings,
  withPointers,
} from "./process.ts";
import { dropLastSteps, exitNow } from "./self.ts";
import { prepareSpawn } from "./stdio.ts";

const unshare_ = quick("unshare", "int", ["int"]);
const fchdir_ = quick("fchdir", "int", ["int"]);
const chroot_ = quick("chroot", "int", ["void *"]);
const fcntl_ = quick("fcntl", "int", ["int", "int", "int"]);
const umask_ = withoutErrno("umask", "int", ["int"]);
const personality_ = quick("personality", "int", ["unsigned long"]);
const syscall3 = quick("syscall", "long", ["long", "long", "long", "long"]);
const bareCall = bare("syscall", "long", ["long", "long", "long", "long", "long", "long", "long"]);
const bareSpawn = bare("posix_spawn", "int", ["void *", "void *", "void *", "void *", "void *", "void *"]);

/**
 * Starts `program` as a child and returns its process id. Root, working directory, user and name spaces are the
 * calling thread's for the moment of the start, as posix_spawn(3)'s child inherits them from that thread; other threads
 * never see them, and the thread gets its own back whatever happens.
 */
export function spawn(where: Surroundings, program: Program): number {
  using own = openAt(null, "/", O.PATH | O.DIRECTORY);
  using cwd = openAt(null, ".", O.PATH | O.DIRECTORY);
  using spaces = rememberNameSpaces(where);
  using ownPids = where.pidSpace === undefined ? undefined : openAt(null, "/proc/thread-self/ns/pid", O.RDONLY);
  const groups = process.getgroups?.() ?? [];
  check("unshare", "", unshare_(CLONE.FS));
  const umask = program.attachment === undefined ? undefined : umask_(program.attachment.umask);
  using _limits = borrowLimits(program.attachment?.limits);
  closeOnExec();
  if (program.inherits !== undefined) check("fcntl", "", fcntl_(program.inherits.number, F_SETFD, 0));
  if (program.attachment === undefined) restoreFileLimit();
  const changed: Changed = {};
  try {
    isolate(where);
    enter(where, changed);
    return start(findExecutable(program), program, { ...where, ownPids });
  } finally {
    comeBack(own, cwd, spaces, { groups, changed });
    if (umask !== undefined) umask_(umask);
    // Somebody else's may be too low for what is left to do.
    if (program.attachment !== undefined) restoreFileLimit(Number(ownFileLimits()[1]));
  }
}

function start(file: Path, program: Program, as: As): number {
  using setup = prepareSpawn(program.attachment);
  const { actions, attributes } = setup;
  // Not before: it may be less than this process has open already.
  if (program.attachment !== undefined) restoreFileLimit(program.attachment.fileLimit);
  const pid = new Int32Array(1);
  const into = new Uint8Array(pid.buffer);
  const run = (path: Path, argv: readonly Path[]) =>
    withPointers(argv, (words) =>
      withPointers(environmentLines(program.env), (lines) => {
        return posixSpawn(as, [into, cString(path), actions, attributes, words, lines]);
      }),
    );
  let errno = run(file, program.argv);
  if (errno !== 0 && errnoName(errno) === "ENOEXEC")
    errno = run("/bin/sh", ["/bin/sh", file, ...program.argv.slice(1)]);
  if (errno !== 0) throw new KernelError({ syscall: "run", path: file, errno: errnoName(errno) });
  return pid[0] ?? 0;
}

type Words = readonly [Argument, Argument, Argument, Argument, Argument, Argument];

interface As extends Pick<Surroundings, "credentials" | "pidSpace"> {
  readonly ownPids: Fd | undefined;
}

/**
 * posix_spawn(3) with the user's real id, and with another pid name space for children, both for no longer than the call takes. With either Linux may
 * let this thread make no other one (copy_process() of kernel/fork.c: never with another pid name space, with the id not where the user has
 * as many processes as they may), and the engine, which makes one where it first compiles or collects, would abort. So all that is called
 * between is C's own, looked up before: what is no JavaScript is neither compiled nor does it allocate.
 */
function posixSpawn({ credentials: { uid }, pidSpace, ownPids }: As, words: Words): number {
  const [setresuid, spawn_] = [threadCallNumbers().setresuid, bareSpawn()];
  const [to, back] = [pidSpace instanceof Fd ? pidSpace.number : -1, ownPids?.number ?? -1];
  const [call, { NEWPID }] = [bareCall(), CLONE];
  const [unshare, setns] = back < 0 ? [call, call] : [bareUnshare(), bareSetns()];
  const [into, file, actions, attributes, argv, env] = words;
  // The user's own capabilities don't suffice for a name space; the saved id is still 0.
  let isDone = call(setresuid, -1, 0, -1, 0, 0, 0) === 0;
  if (isDone && back >= 0) isDone = (to < 0 ? unshare(NEWPID) : setns(to, NEWPID)) === 0;
  isDone = isDone && call(setresuid, uid, uid, -1, 0, 0, 0) === 0;
  const refused = isDone ? 0 : bareErrno();
  const errno = isDone ? spawn_(into, file, actions, attributes, argv, env) : -1;
  // Once more where it fails: nothing else can be done before.
  const isSelf = call(setresuid, 0, 0, -1, 0, 0, 0) === 0 || call(setresuid, 0, 0, -1, 0, 0, 0) === 0;
  const isBack = isSelf && (back < 0 || setns(back, NEWPID) === 0);
  const failed = refused === 0 && !isBack ? bareErrno() : refused;
  if (failed !== 0)
    throw new KernelError({ syscall: "become the user in a child", path: "", errno: errnoName(failed) });
  return errno;
}

interface NameSpaces extends Disposable {
  readonly open: readonly (readonly [Fd, number])[];
}

/** This thread's own name spaces, of those that isolate() will change. */
function rememberNameSpaces(where: Surroundings): NameSpaces {
  const open: [Fd, number][] = [];
  const remember = (name: string, kind: number) =>
    open.push([openAt(null, `/proc/thread-self/ns/${name}`, O.RDONLY), kind]);
  if (where.network === "none") remember("net", CLONE.NEWNET);
  if (where.hostname !== undefined) remember("uts", CLONE.NEWUTS);
  if (where.mountSpace !== undefined) remember("mnt", CLONE.NEWNS);
  return { open, [Symbol.dispose]: () => open.forEach(([fd]) => fd.close()) };
}

/** A thread that can't get its own root or user back must do nothing more. */
function comeBack(
  own: Fd,
  cwd: Fd,
  spaces: NameSpaces,
  { groups, changed }: { readonly groups: readonly number[]; readonly changed: Changed },
): void {
  const calls = threadCallNumbers();
  try {
    check("setuid", "", syscall3(calls.setresuid, 0, 0, 0));
    check("setgid", "", syscall3(calls.setresgid, 0, 0, 0));
    if (changed.groups === true) setGroups(groups);
    // Before the directories: a mount name space brings its own root.
    for (const [fd, kind] of spaces.open) changeSpace(fd, kind);
    check("chdir", "/", fchdir_(own.number));
    if (changed.root === true || spaces.open.length > 0) check("chroot", "/", chroot_(cString(".")));
    check("chdir", cwd, fchdir_(cwd.number));
    check("set personality", "", personality_(0));
  } catch (error) {
    dropLastSteps();
    writeAll(new Fd(2, "standard error"), Buffer.from(`fallthru: ${String(error)}\n`));
    exitNow(125);
  }
}
