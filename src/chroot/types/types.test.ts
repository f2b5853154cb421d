import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { UserError } from "../../error.ts";
import { readStanza } from "../chroot.ts";
import { parseConfig } from "../parse.ts";
import type { RootSource } from "../types.ts";
import { locateRoot } from "./index.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "types-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

function locate(type: string, directory: string, more = ""): RootSource {
  const [stanza] = parseConfig(`[x]\ntype=${type}\ndirectory=${directory}\n${more}`, "x.conf").stanzas;
  const reading = stanza === undefined ? undefined : readStanza(stanza);
  if (reading?.kind !== "chroot") throw new Error("not a chroot");
  return locateRoot(reading.chroot);
}

for (const type of ["directory", "plain"]) {
  test(`locateRoot() finds the directory of a ${type} chroot, also through a link`, () => {
    mkdirSync(join(dir, "root"));
    symlinkSync("root", join(dir, "link"));
    for (const name of ["root", "link"]) {
      expect(locate(type, join(dir, name))).toEqual({ kind: "directory", path: join(dir, name) });
    }
  });

  test(`locateRoot() says why the root of a ${type} chroot can't be used`, () => {
    writeFileSync(join(dir, "file"), "");
    symlinkSync("loop", join(dir, "loop"));
    for (const [name, reason] of [
      ["nowhere", "does not exist"],
      ["file", "is not a directory"],
      ["file/below", "does not exist"],
      ["loop", "does not exist"],
    ] as const) {
      const message = `${dir}/${name}, the root of the chroot x, ${reason}`;
      expect(() => locate(type, join(dir, name))).toThrow(new UserError("not-found", message));
    }
  });
}

test("locateRoot() checks that the lowers are there", () => {
  const message = `${dir}/b, a lower layer of the chroot x, does not exist`;
  expect(() => locate("directory", dir, `fallthru.lower=${dir},${dir}/b\n`)).toThrow(
    new UserError("not-found", message),
  );
});
