import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new empty directory on the disk; it goes away with the test file. */
export function temporaryDirectory(name = "test"): string {
  return mkdtempSync(join(tmpdir(), `${name}-`));
}

/** Describes a chroot of type `directory` in this test file's own /etc/schroot; further keys go below it as they are. */
export function describeChroot(name: string, directory: string, keys: readonly string[] = []): void {
  const lines = [`[${name}]`, "type=directory", `directory=${directory}`, ...keys];
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, `${lines.join("\n")}\n`);
}

/** Makes the profile `bare`, which puts nothing of the host's into a session. */
export function makeBareProfile(): void {
  mkdirSync("/etc/schroot/bare");
  for (const name of ["fstab", "copyfiles", "nssdatabases"]) writeFileSync(`/etc/schroot/bare/${name}`, "");
}
