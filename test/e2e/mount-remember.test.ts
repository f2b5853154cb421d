// deadline: 200
// What a server doesn't remember of what the kernel knows is found again: with very few remembered, all goes on as with all of them.
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDirectory } from "../../src/kernel/file.ts";
import { random, randomChanges } from "../support/changes.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru, run } from "../support/fallthru.ts";
import { applyToPath, changeRandomly, dumpPath, mountOverlay } from "../support/unions.ts";

interface Mount {
  readonly directory: string;
  readonly target: string;
}

function makeLayers(): Mount {
  const directory = temporaryDirectory("union");
  for (const name of ["lower", "upper", "work", "upper2", "work2", "target"]) mkdirSync(join(directory, name));
  return { directory, target: join(directory, "target") };
}

async function mount({ directory, target }: Mount, more: string): Promise<void> {
  const options = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work,${more}`;
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
}

async function unmount({ target }: Mount): Promise<void> {
  expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
}

function inosOf(root: string, path = ""): Map<string, number> {
  return new Map(
    readdirSync(join(root, path), { withFileTypes: true }).flatMap((entry) => {
      const below = join(path, entry.name);
      const { ino } = statSync(join(root, below), { throwIfNoEntry: false }) ?? { ino: 0 };
      return [[below, ino] as const, ...(entry.isDirectory() ? inosOf(root, below) : [])];
    }),
  );
}

test.each(["on", "off"])(
  "random changes do what they do through overlayfs, with one to six files remembered: passthrough=%s",
  async (mode) => {
    for (let seed = 1; seed <= 25; seed++) {
      const layers = makeLayers();
      const next = random(seed);
      changeRandomly(join(layers.directory, "lower"), seed, 80);
      await mount(layers, `passthrough=${mode},remember=${1 + next(6)}`);
      {
        using ours = openDirectory(layers.target);
        const at = (name: string): string => join(layers.directory, name);
        using theirs = mountOverlay([at("lower")], at("upper2"), at("work2"));
        for (const change of randomChanges(next, 60)) {
          const [did, other] = [applyToPath(ours.procPath, change), applyToPath(theirs.root, change)];
          expect([seed, change, did === "ok"]).toEqual([seed, change, other === "ok"]);
        }
        expect([seed, ...dumpPath(ours.procPath)]).toEqual([seed, ...dumpPath(theirs.root)]);
        expect(inosOf(layers.target)).toEqual(inosOf(layers.target));
      }
      await unmount(layers);
    }
  },
  150_000,
);

test("files that are open, mapped, linked, locked or without a name stay what they are", async () => {
  for (const mode of ["on", "off"]) {
    const layers = makeLayers();
    const lower = join(layers.directory, "lower");
    for (let index = 0; index < 200; index++) writeFileSync(join(lower, `f${index}`), `${index}\n`);
    await mount(layers, `passthrough=${mode},remember=5`);
    const script = `
      cd '${layers.target}'; exec 5<f5 6>>f6 7<>f7 8<f8
      walk() { cat f1* f2* f3* f4* >/dev/null; stat -c %i f* >/dev/null; }
      ln f9 l9; before=$(stat -c '%i %h' f5 f6 f7 f8 f9 l9); flock 8; walk
      rm f7; echo six >&6; echo x >>l9; walk; echo gone >&7
      test "$(stat -c '%i %h' f5 f6 f8 f9 l9)" = "$(echo "$before" | sed 3d)" && echo same
      echo five >>f5; walk; cat <&5; cat f6 f9; cat /proc/self/fd/7; stat -Lc %h /proc/self/fd/7
      flock -n f8 true || echo locked; mv f8 g8; walk; flock -n g8 true || echo locked; cat g8
      rm f1?? l9; walk 2>/dev/null || true; ls | wc -l; stat -c %h f9`;
    expect(await run(["sh", "-euc", script])).toMatchObject({
      stderr: "",
      status: 0,
      stdout: "same\n5\nfive\n6\nsix\n9\nx\ngone\n0\nlocked\nlocked\n8\n99\n1\n",
    });
    await unmount(layers);
  }
});
