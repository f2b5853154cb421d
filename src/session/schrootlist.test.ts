import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { schrootSessions, sessionDir, sessionsDir } from "./paths.ts";
import { listSchrootSessions, type Verdict } from "./schrootlist.ts";

const kept = "/run/fallthru/schroot-sessions.json";
const file = (id: string) => `${schrootSessions}/${id}`;
const read: string[] = [];

/** Its first letter says what it is of. */
function judge(id: string, text: string): Verdict {
  read.push(id);
  return text === `ours ${id}` ? "ours" : text === `theirs ${id}` ? "theirs" : "nothing";
}

function list(): string[] {
  read.length = 0;
  return listSchrootSessions(judge).toSorted();
}

/** What is kept is of files that have been what they are for two seconds. */
async function settle(): Promise<void> {
  await sleep(2100);
  list();
}

function listUnkept(): string[] {
  if (!existsSync(kept)) return list();
  renameSync(kept, `${kept}.aside`);
  const listed = list();
  renameSync(`${kept}.aside`, kept);
  return listed;
}

beforeAll(async () => {
  mkdirSync("/run/fallthru", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "fallthru", "/run/fallthru"]);
  for (const directory of [schrootSessions, sessionsDir]) mkdirSync(directory, { recursive: true });
  for (let index = 0; index < 15; index++) {
    for (const whose of ["ours", "theirs"]) writeFileSync(file(`${whose}${index}`), `${whose} ${whose}${index}`);
    mkdirSync(sessionDir(`ours${index}`));
  }
  writeFileSync(file("nothing"), "");
  await settle();
});

afterAll(() => {
  for (let index = 0; index < 15; index++) rmSync(sessionDir(`ours${index}`), { recursive: true });
  execFileSync("umount", ["/run/fallthru"]);
});

test("listSchrootSessions() reads each file once", async () => {
  const all = list();
  expect([all.length, read]).toEqual([30, []]);
  writeFileSync(file("theirs15"), "theirs theirs15");
  expect([list().length, read]).toEqual([31, ["theirs15"]]);
  // It might be changed again in the same moment.
  expect([list().length, read]).toEqual([31, ["theirs15"]]);
  await settle();
  expect([list().length, read]).toEqual([31, []]);
  rmSync(file("theirs15"));
  expect([list(), read]).toEqual([all, []]);
});

test("whatever becomes of a file, listSchrootSessions() says what reading all of them says", async () => {
  const changes: readonly (() => void)[] = [
    () => writeFileSync(file("theirs3"), "tHEIRS theirs3"), // as long as it was
    () => writeFileSync(file("theirs3"), "theirs theirs3"),
    () => rmSync(sessionDir("ours4"), { recursive: true }),
    () => mkdirSync(sessionDir("ours4")),
    () => renameSync(file("ours5"), file("moved")),
    () => renameSync(file("theirs6"), file("theirs7")),
    () => chmodSync(file("theirs8"), 0o666),
    () => chmodSync(file("theirs8"), 0o644),
    () => chownSync(file("theirs9"), 1, 1),
    () => renameSync(file("ours10"), "/var/lib/schroot/ours10"),
    () => symlinkSync("/var/lib/schroot/ours10", file("ours10")),
    () => renameSync("/var/lib/schroot/ours10", file("ours10")),
    () => mkdirSync(file("directory")),
    () => writeFileSync(kept, ""),
    () => writeFileSync(kept, readFileSync(kept).subarray(0, -1)),
    () => rmSync(schrootSessions, { recursive: true }),
  ];
  for (const [index, change] of changes.entries()) {
    if (index % 4 === 0) await settle();
    change();
    expect([index, list()]).toEqual([index, listUnkept()]);
  }
  expect(list()).toEqual([]);
});
