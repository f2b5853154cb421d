import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "./directories.ts";
import { executable, run } from "./fallthru.ts";
import { debianRoot, hostSuite, tinyRoot } from "./roots.ts";

const cache = resolve(import.meta.dirname, "../../build/test-cache");
const recipe = resolve(import.meta.dirname, "../fixtures/guest.sh");

/** Where the machine's kernel, initrd and root.img are: made once (a minute). */
async function guestFiles(): Promise<string> {
  const suite = hostSuite();
  const directory = join(cache, `guest-${suite}`);
  if (existsSync(directory)) return directory;
  const base = await debianRoot({ suite });
  const make = `test -e "$0" || { rm -rf "$0.new" && sh ${recipe} "$1" "$2" "$0.new" && mv "$0.new" "$0"; }`;
  const made = await run(["flock", join(cache, ".lock"), "sh", "-c", make, directory, base, suite]);
  if (made.status !== 0) throw new Error(`${recipe} ended with status ${String(made.status)}:\n${made.stderr}`);
  return directory;
}

/**
 * Runs a script as the first process of a virtual machine, in software: in a Debian with LVM, an empty disk /dev/vdc, and
 * in /opt Fallthru, also as `schroot`, and a tiny root. Its processors lack cmpxchg16b (cx16), by which Linux allocates where
 * it is there: QEMU 7.2 gets it wrong now and then.
 * @returns what it printed on its console, once it has switched the machine off, or the time is over
 */
export async function runGuest(script: string, { timeoutMs = 800_000, diskBytes = 2 ** 30 } = {}): Promise<string> {
  const files = await guestFiles();
  const directory = temporaryDirectory("guest");
  const opt = join(directory, "opt");
  mkdirSync(opt);
  for (const name of ["fallthru", "koffi.node"]) copyFileSync(join(executable, "..", name), join(opt, name));
  symlinkSync("fallthru", join(opt, "schroot"));
  copyFileSync(script, join(opt, "init"));
  await run(["cp", "-a", tinyRoot(), join(opt, "root")]);
  const [program, disk] = [join(directory, "opt.img"), join(directory, "disk.img")];
  await run(["mke2fs", "-q", "-t", "ext4", "-d", opt, program, "256M"]);
  writeFileSync(disk, "");
  truncateSync(disk, diskBytes);
  const drive = (file: string, options: string): string =>
    `-drive file=${file},format=raw,if=virtio,cache=unsafe,${options}`;
  const words = [
    "qemu-system-x86_64 -machine q35,accel=tcg -cpu max,-cx16 -smp 2 -m 1024 -nodefaults -nographic -serial stdio",
    `-kernel ${join(files, "kernel")} -initrd ${join(files, "initrd")}`,
    `${drive(join(files, "root.img"), "snapshot=on")} ${drive(program, "readonly=on")} ${drive(disk, "discard=unmap")}`,
  ];
  const append = ["-append", "console=ttyS0 quiet panic=1"];
  return runConsole([...words.join(" ").split(" "), ...append], timeoutMs);
}

function runConsole([program = "", ...args]: readonly string[], timeoutMs: number): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (data: string) => (text += data));
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", () => {
      clearTimeout(timer);
      done(text.replaceAll("\r", ""));
    });
  });
}
