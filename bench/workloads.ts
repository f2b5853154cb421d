import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./measure.ts";

export type Target = "cold" | "warm" | "data" | "build";

/** What is done in a mount: shell texts, run in it. */
export interface Workload {
  readonly name: string;
  readonly target: Target;
  /** How many lower layers; 1 where not said. */
  readonly layers?: number;
  /** Done before, not measured. */
  readonly prepare?: string;
  readonly work: string;
  /** It changes files of a lower. */
  readonly changesLower?: boolean;
  /** In a chroot, with the base system of packages below. */
  readonly isBuild?: boolean;
}

/** The lower layer's own directories: `tree` is a repository with two branches, `big` a file of `bytes`. */
export function workloads(bytes: number): Workload[] {
  const megabytes = bytes >> 20;
  const pages = bytes >> 12;
  return [...walks(1), ...walks(50), ...trees(), ...data(megabytes), ...random(pages), ...builds()];
}

function walks(layers: number): Workload[] {
  const name = (what: string): string => (layers === 1 ? what : `${what}, ${layers} lowers`);
  const find = "find . -xdev -ls | cat >/dev/null";
  const tar = "tar cf - usr/share | cat >/dev/null";
  const grep = "grep -r no-such-text usr/share || :";
  return [
    { name: name("`find -ls`, cold"), target: "cold", layers, work: find },
    { name: name("`find -ls`, warm"), target: "warm", layers, prepare: find, work: find },
    { name: name("`tar c`, cold"), target: "cold", layers, work: tar },
    { name: name("`tar c`, warm"), target: "warm", layers, prepare: tar, work: tar },
    { name: name("`grep -r`, cold"), target: "cold", layers, work: grep },
    { name: name("`grep -r`, warm"), target: "warm", layers, prepare: grep, work: grep },
    // Linux asks a FUSE server for the attributes of what was read, once.
    { name: name("`grep -r`, third time"), target: "warm", layers, prepare: `${grep}; ${grep}`, work: grep },
  ];
}

function trees(): Workload[] {
  const changesLower = true;
  const creates = `mkdir new; perl -e 'for (1..10000) { open F, ">", "new/$_" or die; print F $_; close F }'`;
  return [
    {
      name: "`git status`",
      target: "warm",
      changesLower,
      prepare: "git -C tree status --short",
      work: "git -C tree status --short",
    },
    {
      name: "`git checkout`",
      target: "warm",
      changesLower,
      prepare: "git -C tree status --short",
      work: "git -C tree checkout -q other",
    },
    { name: "10,000 small creates", target: "warm", work: creates },
    { name: "`rm -rf` of 10,000 new files", target: "warm", prepare: creates, work: "rm -rf new" },
    { name: "`rm -rf usr`", target: "warm", changesLower, work: "rm -rf usr" },
    { name: "`chown -R` of usr/share", target: "warm", changesLower, work: "chown -R 1:1 usr/share" },
    { name: "`chmod` of the big file", target: "warm", changesLower, work: "chmod 600 big" },
  ];
}

function data(megabytes: number): Workload[] {
  const write = `dd if=/dev/zero of=new bs=1M count=${megabytes} status=none`;
  const map = `python3 -c 'import mmap; f = open("NAME"); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); m.find(b"x")'`;
  return [
    { name: "sequential read, lower, cold", target: "data", work: "cat big >/dev/null" },
    {
      name: "sequential read, lower, warm",
      target: "data",
      prepare: "cat big >/dev/null",
      work: "dd if=big of=/dev/null bs=1M status=none",
    },
    { name: "sequential write", target: "data", work: write },
    { name: "sequential write over it", target: "data", prepare: write, work: `${write} conv=notrunc` },
    {
      name: "sequential read, upper, warm",
      target: "data",
      prepare: write,
      work: "dd if=new of=/dev/null bs=1M status=none",
    },
    {
      name: "read through a mapping, lower, warm",
      target: "data",
      prepare: "cat big >/dev/null",
      work: map.replace("NAME", "big"),
    },
    {
      name: "read through a mapping, upper, warm",
      target: "data",
      prepare: write,
      work: map.replace("NAME", "new"),
    },
  ];
}

/** Blocks of 4 KiB at places that are the same each time. */
function random(pages: number): Workload[] {
  const loop = (mode: string, file: string, call: string): string =>
    `perl -e 'open F, "${mode}", "${file}" or die; srand 1; $b = "a" x 4096; for (1..50000) { sysseek F, 4096 * int rand ${pages}, 0; ${call} }'`;
  const fill = `dd if=/dev/zero of=new bs=1M count=${pages >> 8} status=none`;
  return [
    {
      name: "50,000 random reads, lower, warm",
      target: "data",
      prepare: "cat big >/dev/null",
      work: loop("<", "big", "sysread F, $b, 4096"),
    },
    {
      name: "50,000 random reads, upper, warm",
      target: "data",
      prepare: fill,
      work: loop("<", "new", "sysread F, $b, 4096"),
    },
    { name: "50,000 random writes", target: "data", prepare: fill, work: loop("+<", "new", "syswrite F, $b, 4096") },
  ];
}

function builds(): Workload[] {
  const clean = "env -i DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  const install = `chroot . ${clean} apt-get -q -y --install-recommends --no-download install build-essential >/dev/null 2>&1`;
  return [
    { name: "`apt-get install build-essential`", target: "build", isBuild: true, changesLower: true, work: install },
    {
      // The root has what it takes, as a builder's chroot has.
      name: "`dpkg-buildpackage`, 200 C files",
      target: "build",
      changesLower: true,
      work: `chroot . ${clean} sh -c 'cd /package && dpkg-buildpackage -us -uc -b' >/dev/null 2>&1`,
    },
  ];
}

/** Makes, once, what the workloads find below the root's own files. */
export function makeExtra(base: string, root: string, bytes: number): string {
  const extra = join(base, "extra");
  if (existsSync(extra)) return extra;
  mkdirSync(join(extra, "package/debian"), { recursive: true });
  run(["dd", "if=/dev/zero", `of=${extra}/big`, "bs=1M", `count=${bytes >> 20}`, "status=none"]);
  const git = "git -c user.name=bench -c user.email=bench@localhost";
  const steps = [
    `cp -a "$1/usr/share" "$0/tree" && cd "$0/tree" && git init -q . && git add -A . && ${git} commit -q -m one`,
    // Every third file differs on the other branch.
    `git checkout -q -b other && git ls-files -z | awk 'BEGIN { RS = ORS = "\\0" } NR % 3 == 0' | xargs -0 sh -c 'for f; do test -L "$f" || echo more >>"$f"; done' sh`,
    `${git} commit -q -a -m two && git checkout -q master`,
  ];
  run(["sh", "-c", steps.join(" && "), extra, root]);
  makePackage(join(extra, "package"));
  return extra;
}

/** A package of 200 C files that the base tools alone can build. */
function makePackage(directory: string): void {
  const write = (name: string, ...lines: string[]): void =>
    writeFileSync(join(directory, name), `${lines.join("\n")}\n`);
  const control = ["Source: bench", "Maintainer: Bench <bench@localhost>", "Section: misc", "Priority: optional"];
  write("debian/control", ...control, "", "Package: bench", "Architecture: any", "Description: bench");
  const entry = ["bench (1) unstable; urgency=low", "", "  * First.", ""];
  write("debian/changelog", ...entry, " -- Bench <bench@localhost>  Thu, 01 Jan 2026 00:00:00 +0000");
  const destination = "debian/bench";
  const rules = [
    "#!/usr/bin/make -f",
    "objects := $(patsubst %.c,%.o,$(wildcard *.c))",
    "build build-arch: $(objects)\n\tgcc -o bench $^",
    "%.o: %.c\n\tgcc -O1 -g -c -o $@ $<",
    "clean:\n\trm -rf *.o bench debian/bench",
    `binary binary-arch: build\n\tmkdir -p ${destination}/usr/bin ${destination}/DEBIAN\n\tcp bench ${destination}/usr/bin`,
    `\tdpkg-gencontrol -P${destination} && dpkg-deb --root-owner-group -b ${destination} ..`,
  ];
  write("debian/rules", ...rules);
  run(["chmod", "755", join(directory, "debian/rules")]);
  const headers = ["stdio", "stdlib", "string", "unistd", "sys/stat"].map((name) => `#include <${name}.h>`);
  for (let index = 0; index < 200; index++) {
    write(`part${index}.c`, ...headers, `int part${index}(int x) { return printf("%d", x + ${index}); }`);
  }
  write("main.c", "int part1(int);", "int main(void) { return part1(1) < 0; }");
}

/** Lowers of which each adds a little to directories that all have. */
export function makeLayers(base: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const layer = join(base, "layers", String(index));
    for (const directory of ["etc", "usr/bin", "usr/lib", "usr/share/doc", "usr/share/man"]) {
      mkdirSync(join(layer, directory), { recursive: true });
      for (let file = 0; file < 4; file++) writeFileSync(join(layer, directory, `layer${index}-${file}`), "x");
    }
    return layer;
  });
}
