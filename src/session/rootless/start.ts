import { O } from "../../kernel/abi/file.ts";
import { UserError } from "../../error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { openAt, readAll, readAvailable, writeAll } from "../../kernel/file.ts";
import { startHelper } from "../../kernel/helper.ts";
import { makeMemoryFile } from "../../kernel/memory.ts";
import { makePipe } from "../../kernel/self.ts";
import { waitForChild } from "../../kernel/wait.ts";
import { findProgram, explainRefusal } from "./refusal.ts";
import { findOrphan, nameOf } from "./orphan.ts";
import { claimSpace, findSpace, openSpaceOf, readKeeper, type Space, writeKeeper } from "./space.ts";
import { type Kind, mapWords, requireRanges } from "./subordinate.ts";

/**
 * The keeper: a shell that waits for what never comes, on a pipe whose other end it has itself. It says its process id once
 * it has the name spaces, and goes on when it is told that all is ready; where whoever starts it dies before, it ends.
 */
const keeper = "echo $$; read -r go <&6 && exec >/dev/null 2>&1 && read -r forever <&4";

/** Of who becomes a command in a session, which is to have no child that it doesn't know of. */
const orphaned = ["/bin/sh", "-c", '"$@" &', "sh"];

const environment = ["PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"];

/**
 * Makes the user's name spaces, with a process that keeps them, or finds those that somebody else makes meanwhile. Where a
 * keeper was killed and its name spaces live on, they get another.
 * @param need "look" makes none
 * @throws {UserError} unsupported: what this machine lacks or forbids
 */
export async function startSpace(need: "start" | "look"): Promise<Space | undefined> {
  for (;;) {
    const claimed = claimSpace();
    if (claimed !== undefined) {
      using file = claimed;
      const last = readKeeper();
      using orphan = last === undefined ? undefined : findOrphan(last);
      if (orphan === undefined && need === "look") return undefined;
      await (orphan === undefined ? makeSpace(file) : startKeeper(file, enterOf(orphan), async () => {}));
    }
    const space = findSpace();
    if (space !== undefined) return space;
    if (claimed !== undefined) throw new UserError("failed", "the process that keeps the name spaces was killed");
  }
}

async function makeSpace(file: Fd): Promise<void> {
  const ranges = { uid: requireRanges("uid"), gid: requireRanges("gid") };
  const programs = { uid: findProgram("newuidmap"), gid: findProgram("newgidmap") };
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  // A slave: what the machine unmounts must go here, too, and what it mounts is to be seen.
  const words = [findProgram("unshare"), "--user", "--mount", "--propagation", "slave", "--"];
  await startKeeper(file, { words, descriptors: [], isOrphaned: false }, async (pid) => {
    const map = (kind: Kind) => startMapping(programs[kind], [pid, ...mapWords(own[kind], ranges[kind])]);
    // Both at once.
    for (const mapping of [map("uid"), map("gid")]) await mapping();
  });
}

/** How the keeper comes into its name spaces: a program that then becomes it. */
interface Entry {
  readonly words: readonly string[];
  readonly descriptors: readonly Fd[];
  /** Whether the words start it as nobody's child, and end. */
  readonly isOrphaned: boolean;
}

function enterOf({ user, mount }: Space): Entry {
  const fd = (index: number) => `/proc/self/fd/${ownDescriptors + index}`;
  const words = [...orphaned, findProgram("nsenter"), `--user=${fd(0)}`, `--mount=${fd(1)}`, "--"];
  return { words, descriptors: [user, mount], isOrphaned: true };
}

/** So many descriptors the keeper itself gets. */
const ownDescriptors = 7;

async function startKeeper(file: Fd, entry: Entry, prepare: (pid: string) => Promise<void>): Promise<void> {
  // Others wait while there is nothing in it.
  using note = openAt(null, file.procPath, O.WRONLY | O.TRUNC);
  using said = makeMemoryFile("fallthru-said");
  const [readReady, writeReady] = makePipe();
  const [readGo, writeGo] = makePipe();
  const [readForever, writeForever] = makePipe();
  using ready = readReady;
  using go = writeGo;
  {
    using written = writeReady;
    using told = readGo;
    using never = readForever;
    using end = writeForever;
    using nothing = openAt(null, "/dev/null", O.RDONLY);
    const argv = [...entry.words, "/bin/sh", "-c", keeper, "fallthru-keeper"];
    const descriptors = [nothing, written, said, file, never, end, told, ...entry.descriptors];
    const child = startHelper(argv[0] ?? "", argv, environment, descriptors);
    if (entry.isOrphaned) await waitForChild(child);
  }
  const pid = readAvailable(ready).toString("latin1").trim();
  if (pid === "") throw explainRefusal(textOf(said));
  await prepare(pid);
  using space = openSpaceOf(pid);
  if (space === undefined) throw new UserError("failed", "the process that keeps the name spaces was killed");
  writeKeeper(note, { pid: Number(pid), user: nameOf(space.user.procPath), mount: nameOf(space.mount.procPath) });
  writeAll(go, Buffer.from("go\n"));
}

/** @returns how to wait for its end */
function startMapping(program: string, words: readonly string[]): () => Promise<void> {
  const said = makeMemoryFile("fallthru-said");
  using nothing = openAt(null, "/dev/null", O.RDWR);
  const pid = startHelper(program, [program, ...words], environment, [nothing, nothing, said]);
  return async () => {
    using text = said;
    const outcome = await waitForChild(pid);
    if (outcome.kind === "exited" && outcome.status === 0) return;
    throw refusedMapping(program, textOf(text));
  };
}

/** @see newuidmap(1): it needs its set-user-ID bit or its capability, and the ids to be the user's in /etc/subuid */
function refusedMapping(program: string, said: string): UserError {
  const name = program.slice(program.lastIndexOf("/") + 1);
  const reason = said.trim().split("\n").at(-1) ?? "";
  const isDenied = /Operation not permitted|uid range .* not allowed|gid range .* not allowed/i.test(reason);
  return new UserError(
    "unsupported",
    `${name} can't map the subordinate ids: ${reason === "" ? "it was killed" : reason}`,
    {
      hint: isDenied
        ? `is ${program} still set-user-ID root (apt install --reinstall uidmap)? is another program's line of /etc/subuid or /etc/subgid yours?`
        : `see ${name}(1)`,
    },
  );
}

function textOf(file: Fd): string {
  using again = openAt(null, file.procPath, O.RDONLY);
  return readAll(again).toString("utf8");
}
