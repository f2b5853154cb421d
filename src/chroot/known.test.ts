import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { findChroot, findChrootIfAny, overviewOf, readChroots, readOverview } from "./config.ts";

const directory = "/etc/schroot/chroot.d";
const kept = "/run/fallthru/chroots.json";
const file = (index: number) => `${directory}/known${index}.conf`;
const text = (name: string) => `[${name}]\ntype=directory\ndirectory=/srv\nusers=root\naliases=${name}-too\n`;

/** What is kept is of files that have been what they are for two seconds. */
async function settle(): Promise<void> {
  await sleep(2100);
  readOverview();
}

const read = () => overviewOf(readChroots());

function found(name: string): unknown {
  try {
    return findChrootIfAny(name);
  } catch (error) {
    return String(error);
  }
}

function withoutKept<T>(call: () => T): T {
  const isKept = existsSync(kept);
  if (isKept) renameSync(kept, `${kept}.aside`);
  const result = call();
  if (isKept) renameSync(`${kept}.aside`, kept);
  return result;
}

beforeAll(async () => {
  mkdirSync("/run/fallthru", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "fallthru", "/run/fallthru"]);
  mkdirSync(directory, { recursive: true });
  for (let index = 0; index < 25; index++) writeFileSync(file(index), text(`c${index}`));
  writeFileSync(file(25), text("constructor"));
  await settle();
});

afterAll(() => {
  execFileSync("umount", ["/run/fallthru"]);
});

test("readOverview() keeps what it found, for the superuser alone", () => {
  expect(existsSync(kept)).toBe(true);
  expect(readOverview()).toEqual(read());
  const changed = readFileSync(kept, "latin1").replace('"c7"', '"kept"');
  writeFileSync(kept, changed, "latin1");
  expect(readOverview().names).toContain("kept");
  expect(findChroot("c8").name).toBe("c8");
  writeFileSync(kept, "{");
  expect(readOverview()).toEqual(read());
  for (const damaged of ["", changed.slice(0, -40), changed.slice(0, changed.indexOf("kept"))]) {
    writeFileSync(kept, damaged, "latin1");
    expect([readOverview().names, findChroot("c8").name]).toEqual([
      damaged.includes("kept") ? expect.anything() : read().names,
      "c8",
    ]);
  }
});

test("whatever becomes of a description, readOverview() and findChroot() say what all of them say", async () => {
  const before = readFileSync(file(3));
  const changes: readonly (() => void)[] = [
    () => writeFileSync(file(3), text("d3")), // as long as it was
    () => {
      writeFileSync(file(3), before);
      utimesSync(file(3), 1_000_000_000, 1_000_000_000);
    },
    () => writeFileSync(`${directory}/known30.conf`, text("c30")),
    () => rmSync(`${directory}/known30.conf`),
    () => renameSync(file(4), `${directory}/moved.conf`),
    () => renameSync(file(5), file(6)),
    () => chmodSync(file(7), 0o666),
    () => chmodSync(file(7), 0o644),
    () => writeFileSync(file(8), text("c9")),
    () => writeFileSync(file(8), text("c8")),
    () => writeFileSync("/etc/schroot/schroot.conf", text("main")),
  ];
  for (const [index, change] of changes.entries()) {
    if (index % 4 === 0) await settle();
    change();
    expect(readOverview()).toEqual(read());
    for (const name of ["c3", "d3", "c30", "c5", "c6", "c8", "c9", "c9-too", "main", "none", "constructor", "toString"])
      expect([name, found(name)]).toEqual([name, withoutKept(() => found(name))]);
  }
});
