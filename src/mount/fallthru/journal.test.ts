import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fd } from "../../kernel/fd.ts";
import { statAt } from "../../kernel/file.ts";
import { makeMemoryFile, mapFile, resizeFile } from "../../kernel/memory.ts";
import { random } from "../../../test/support/changes.ts";
import { differences, isTorn, Model, type Operation, operations } from "../../../test/support/journal.ts";
import { Journal } from "./journal.ts";

const fixture = join(import.meta.dirname, "../../../test/fixtures/journal-worker.ts");

/** As the next server reads it: from the memory alone. */
function reread(file: Fd): Journal {
  return new Journal(file, false);
}

test("what another version has laid out isn't taken for ours", () => {
  using file = makeMemoryFile("journal");
  new Journal(file, true).place(2, { parent: 1, name: "file", ino: 2, isDirectory: false });
  new Uint32Array(mapFile(file, 0, 4096).buffer)[5] = 1;
  expect(() => reread(file)).toThrow("another version");
});

test("what the version before has laid out is read on: it has no times, which are where the last mount left them", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.place(2, { parent: 1, name: "file", ino: 2, isDirectory: false });
  journal.origin(5, 6);
  new Uint32Array(mapFile(file, 0, 4096).buffer)[5] = 3;
  const next = reread(file);
  expect(next.at(1, "file")?.nodeid).toBe(2);
  expect(next.told()).toEqual({ files: new Map(), origins: new Map([[5, 6]]) });
  next.accessTime(2, 7);
  const shown = { seconds: -1, nsec: 2, ctime: 3, ctimeNsec: -1, mtime: 5, mtimeNsec: 6 };
  next.changeTime(2, shown);
  expect(reread(file).told()).toMatchObject({ accessTimes: new Map([[2, 7]]), changeTimes: new Map([[2, shown]]) });
});

test("times that are told last leave what was done last as it was", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.open(1, { nodeid: 7, flags: 0, backingId: 0 }, 50);
  journal.accessTime(7, 1);
  journal.changeTime(7, undefined);
  expect(reread(file).lastOpened).toEqual({ handle: 1, request: 50 });
});

test("the next server knows an inode by a name that it still has, whatever was renamed and removed", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.place(2, { parent: 1, name: "dir", ino: 20, isDirectory: true });
  journal.place(3, { parent: 2, name: "a", ino: 30, isDirectory: false });
  journal.place(3, { parent: 1, name: "link\xff", ino: 30, isDirectory: false });
  journal.place(4, { parent: 2, name: "b", ino: 40, isDirectory: false });
  journal.move(2, "a", 2, "b", false); // over b
  journal.place(5, { parent: 1, name: "x", ino: 5, isDirectory: false });
  journal.move(1, "x", 2, "b", true);
  journal.remove(1, "link\xff");
  const next = reread(file);
  expect(next.get(2)).toEqual({ parent: 1, name: "dir", ino: 20, isDirectory: true });
  expect(next.get(3)).toEqual({ parent: 1, name: "x", ino: 30, isDirectory: false });
  expect(next.get(5)).toEqual({ parent: 2, name: "b", ino: 5, isDirectory: false });
  expect([next.get(4), [...next.nameless()], [...next.directories()]]).toEqual([undefined, [[4, 40]], [2]]);
  expect([next.nodeidOf(20), next.nodeidOf(30), next.nodeidOf(40), next.nodeidOf(5)]).toEqual([
    2,
    3,
    undefined,
    undefined,
  ]);
  expect([next.highest, next.at(2, "b")?.nodeid, next.at(2, "a")]).toEqual([5, 5, undefined]);
  journal.forget(4);
  journal.remove(1, "x");
  expect([3, 4].map((nodeid) => reread(file).has(nodeid))).toEqual([true, false]);
  expect(reread(file).get(3)).toBeUndefined();
});

test("the next server agrees with a plain model after any operations", () => {
  for (let seed = 1; seed <= 100; seed++) {
    using file = makeMemoryFile("journal");
    const [journal, model] = [new Journal(file, true), new Model()];
    const steps = operations(seed, model);
    for (let step = 0; step < 600; step++) steps.next().value.run(journal);
    steps.next();
    expect([seed, ...differences(reread(file), model), reread(file).size]).toEqual([seed, model.size]);
    for (const nodeid of model.names.keys()) journal.forget(nodeid);
    const next = reread(file);
    expect([next.size, next.nodeidOf(3), [...next.nameless()]]).toEqual([0, undefined, []]);
  }
});

/** The model before the operation that is counted so, and after it. */
function modelsAround(seed: number, count: number): { before: Model; after: Model; operation: Operation | undefined } {
  const [before, after] = [new Model(), new Model()];
  const steps = { before: operations(seed, before), after: operations(seed, after) };
  let operation: Operation | undefined;
  for (let step = 0; step <= count; step++) {
    operation = steps.after.next().value;
    steps.before.next();
  }
  steps.after.next();
  return { before, after, operation };
}

test("killed at any instant, what is known is what it was before the operation or after it", async () => {
  const number = random(Date.now() >>> 0);
  let torn = 0;
  for (let seed = 1; seed <= 25; seed++) {
    using file = makeMemoryFile("journal");
    using progress = makeMemoryFile("progress");
    resizeFile(progress, 4096);
    const begun = new Uint32Array(mapFile(progress, 0, 4096).buffer);
    const worker = spawn(process.execPath, [fixture, String(seed)], {
      stdio: ["ignore", "inherit", "inherit", file.number, progress.number],
    });
    const ended = once(worker, "exit");
    while (Atomics.load(begun, 0) < 100) await sleep(1);
    await sleep(number(30));
    worker.kill("SIGKILL");
    expect(await ended).toEqual([null, "SIGKILL"]);
    const { before, after, operation } = modelsAround(seed, Atomics.load(begun, 0) - 1);
    if (isTorn(file)) torn++;
    const next = reread(file);
    // One that is half forgotten nobody asks for any more.
    if (operation?.kind === "forget") operation.run(next);
    const isBefore = operation?.kind !== "forget" && differences(next, before).length === 0;
    expect([seed, operation?.kind, ...(isBefore ? [] : differences(next, after))]).toEqual([seed, operation?.kind]);
    expect(differences(reread(file), isBefore ? before : after)).toEqual([]);
  }
  expect(torn).toBeGreaterThan(0);
});

test("the next server knows the open files, and which of them was opened last of all, and by whom", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.open(1, { nodeid: 7, flags: 0x80000001 | 0, backingId: 0 }, 50);
  journal.open(2, { nodeid: 8, flags: 0, backingId: 9 }, 60);
  expect(reread(file).lastOpened).toEqual({ handle: 2, request: 60 });
  expect(reread(file).files().get(1)).toEqual({ nodeid: 7, flags: 0x80000001 | 0, backingId: 0 });
  journal.origin(5, 6);
  journal.origin(7, 9);
  journal.origin(7, 8);
  journal.origin(5, 0);
  expect(reread(file).told().origins).toEqual(new Map([[7, 8]]));
  journal.close(1);
  expect(reread(file).files()).toEqual(new Map([[2, { nodeid: 8, flags: 0, backingId: 9 }]]));
  expect(reread(file).lastOpened).toBe(undefined);
});

test("the next server knows the rename that was the last thing done", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  journal.place(2, { parent: 1, name: "a", ino: 2, isDirectory: false });
  journal.place(3, { parent: 1, name: "b", ino: 3, isDirectory: false });
  journal.move(1, "a", 1, "b", true);
  expect(reread(file).hasJustMoved(1, "b", 1, "a")).toBe(false);
  const next = reread(file);
  expect([next.hasJustMoved(1, "a", 1, "b"), next.hasJustMoved(1, "a", 1, "b")]).toEqual([true, false]);
  journal.forget(9);
  expect(reread(file).hasJustMoved(1, "a", 1, "b")).toBe(false);
});

test("many names are known, and their room is used again", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  for (let nodeid = 2; nodeid < 300_000; nodeid++) {
    journal.place(nodeid, { parent: 1, name: `some-file-of-many-${nodeid}`, ino: nodeid, isDirectory: false });
    if (nodeid % 3 !== 0) journal.forget(nodeid - 1);
  }
  expect(statAt(file).blocks * 512).toBeLessThan(100_000 * 100);
  const next = reread(file);
  expect(next.size).toBe(100_000);
  expect(next.get(299_999)).toEqual({
    parent: 1,
    name: "some-file-of-many-299999",
    ino: 299_999,
    isDirectory: false,
  });
});

test("of an inode with very many names each is removed as fast as another's", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  const count = 30_000;
  // Two inodes' names in turn: those of one are not all together.
  for (let link = 0; link < count; link++) {
    journal.place(2, { parent: 1, name: `first-${link}`, ino: 2, isDirectory: false });
    journal.place(3, { parent: 1, name: `second-${link}`, ino: 3, isDirectory: false });
  }
  const start = performance.now();
  for (let link = 0; link < count; link++) journal.remove(1, `first-${link}`);
  const many = performance.now() - start;
  const [next, again] = [reread(file), new Journal(file, false)];
  expect([next.size, next.get(2), [...next.nameless()]]).toEqual([count + 1, undefined, [[2, 2]]]);
  for (let link = count - 1; link > 0; link--) again.remove(1, `second-${link}`);
  expect([again.size, reread(file).get(3)?.name]).toEqual([2, "second-0"]);
  for (let nodeid = 4; nodeid < 4 + count; nodeid++)
    journal.place(nodeid, { parent: 1, name: `other-${nodeid}`, ino: nodeid, isDirectory: false });
  const startOfOthers = performance.now();
  for (let nodeid = 4; nodeid < 4 + count; nodeid++) journal.remove(1, `other-${nodeid}`);
  expect(many / (performance.now() - startOfOthers)).toBeLessThan(20);
});

test("startRetry() counts servers that died of what they were asked again", () => {
  using file = makeMemoryFile("journal");
  const journal = new Journal(file, true);
  expect([journal.startRetry(), new Journal(file, false).startRetry()]).toEqual([1, 2]);
  journal.endRetry();
  expect(new Journal(file, false).startRetry()).toBe(1);
});
