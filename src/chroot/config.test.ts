import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { UserError } from "../error.ts";
import { findChroot, readChroots } from "./config.ts";
import { problemText } from "./problem.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "chroot-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(dir, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function stanza(name: string, more = ""): string {
  return `[${name}]\ntype=directory\ndirectory=/srv/${name}\n${more}`;
}

/** Names and problems, the directory left out. */
function listed(): { names: string[]; problems: string[] } {
  const { chroots, problems } = readChroots(dir);
  return {
    names: chroots.map((chroot) => chroot.name),
    problems: problems.map((problem) => problemText(problem).replaceAll(`${dir}/`, "")),
  };
}

function failure(name: string): { code: string; message: string; hint: string | undefined } {
  try {
    findChroot(name, dir);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const text = (from: string | undefined) => from?.replaceAll(`${dir}/`, "").replaceAll(dir, "DIR");
    return { code: error.code, message: text(error.message) ?? "", hint: text(error.hint) };
  }
  throw new Error(`${name} was found`);
}

test("readChroots() finds none where nothing is configured", () => {
  expect(readChroots(join(dir, "nowhere"))).toEqual({ chroots: [], problems: [], warnings: [] });
});

test("readChroots() reads schroot.conf and chroot.d, and sorts by name", () => {
  write("schroot.conf", stanza("m"));
  write("chroot.d/b", stanza("z") + stanza("c"));
  write("chroot.d/a.conf", stanza("a"));
  expect(listed()).toEqual({ names: ["a", "c", "m", "z"], problems: [] });
});

test("readChroots() passes over names that schroot passes over", () => {
  const names = [".hid", "a~", "a.dpkg-old", "a+b", "_a", "a.conf.dpkg-dist", "adpkg-tmp"];
  for (const name of names) write(`chroot.d/${name}`, stanza("no"));
  write("chroot.d/9", stanza("yes"));
  write("chroot.d/a.ucf-old", stanza("also"));
  expect(listed()).toEqual({ names: ["also", "yes"], problems: [] });
});

test("readChroots() takes a bad stanza or file for no reason to lose the others", () => {
  write("chroot.d/a.conf", `${stanza("bad", "users2\n")}${stanza("good")}`);
  write("chroot.d/b.conf", `junk\n${stanza("fine")}`);
  expect(listed()).toEqual({
    names: ["fine", "good"],
    problems: [
      'chroot.d/b.conf:1: bad line "junk" before the first [NAME]',
      'chroot.d/a.conf:4: [bad] bad line "users2"',
    ],
  });
});

describe("readChroots() doesn't read", () => {
  test("what isn't root's", () => {
    chownSync(write("chroot.d/x", stanza("x")), 1000, 0);
    expect(listed()).toEqual({ names: [], problems: ["chroot.d/x: not read, as user 1000 owns it, not root"] });
  });
  test("what everybody may write to, while a group may", () => {
    chmodSync(write("chroot.d/x", stanza("x")), 0o666);
    chmodSync(write("chroot.d/y", stanza("y")), 0o664);
    expect(listed()).toEqual({ names: ["y"], problems: ["chroot.d/x: not read, as everybody may write to it"] });
  });
  test("directories, FIFOs and links to nowhere, while links to files are followed", () => {
    mkdirSync(join(dir, "chroot.d/directory"), { recursive: true });
    execFileSync("mkfifo", [join(dir, "chroot.d/fifo"), join(dir, "outside")]);
    symlinkSync("../outside", join(dir, "chroot.d/fifolink"));
    symlinkSync("../nowhere", join(dir, "chroot.d/nowhere"));
    write("real", stanza("linked"));
    symlinkSync("../real", join(dir, "chroot.d/link"));
    expect(listed()).toEqual({
      names: ["linked"],
      problems: [
        "chroot.d/directory: is not a regular file",
        "chroot.d/fifo: is not a regular file",
        "chroot.d/fifolink: is not a regular file",
        "chroot.d/nowhere: the link leads nowhere",
      ],
    });
  });
});

test("readChroots() uses neither of two stanzas of one name", () => {
  write("chroot.d/a", stanza("x") + stanza("y"));
  write("chroot.d/b", stanza("x"));
  const problem = "chroot.d/b:1: [x] is described twice; first at chroot.d/a:1";
  expect(listed()).toEqual({ names: ["y"], problems: [problem] });
  expect(failure("x")).toMatchObject({ code: "config", message: problem });
});

test("findChroot() finds by name and by alias, the name first", () => {
  write("chroot.d/a", stanza("sid", "aliases=unstable , bookworm\n"));
  write("chroot.d/b", stanza("bookworm"));
  expect(findChroot("sid", dir).name).toBe("sid");
  expect(findChroot("unstable", dir).name).toBe("sid");
  expect(findChroot("bookworm", dir).name).toBe("bookworm");
  expect(listed().problems).toEqual(['chroot.d/a:4: [sid] the alias "bookworm" belongs to [bookworm] at chroot.d/b:1']);
});

test("findChroot() refuses an alias of two chroots", () => {
  write("chroot.d/a", stanza("one", "aliases=both\n") + stanza("two", "aliases=both\n"));
  expect(failure("both")).toMatchObject({
    code: "config",
    message: 'chroot.d/a:8: [two] the alias "both" belongs to [one] at chroot.d/a:1',
  });
  expect(findChroot("two", dir).name).toBe("two");
});

test("findChroot() says what is wrong with the chroot that is asked for", () => {
  write("chroot.d/x.conf", `${stanza("good")}${stanza("bad", "user=x\nunion-type=b\n")}`);
  expect(findChroot("good", dir).name).toBe("good");
  expect(failure("bad")).toEqual({
    code: "config",
    message: 'chroot.d/x.conf:7: [bad] unknown key "user"',
    hint: 'did you mean "users" or "user-modifiable-keys"? 1 more in this chroot; `fallthru chroot list` shows each',
  });
});

test("findChroot() says which names are near", () => {
  expect(failure("sid")).toEqual({
    code: "not-found",
    message: 'no chroot "sid" in DIR',
    hint: "`fallthru chroot create` makes one",
  });
  write("chroot.d/a", stanza("bookworm") + stanza("bookworm-amd64-sbuild", "aliases=bullseye\n") + "[\n");
  expect(failure("bokworm").hint).toBe("did you mean bookworm? `fallthru chroot list` shows all");
  expect(failure("bullsye").hint).toBe("did you mean bullseye? `fallthru chroot list` shows all");
  expect(failure("book").hint).toBe("did you mean bookworm or bookworm-amd64-sbuild? `fallthru chroot list` shows all");
  expect(failure("").code).toBe("not-found");
});

test("findChroot() says which files it couldn't look into", () => {
  chmodSync(write("chroot.d/x", stanza("x")), 0o666);
  expect(failure("x").hint).toStartWith("chroot.d/x: not read, as everybody may write to it; ");
});

test("findChroot() parses only the files that have the name in them", () => {
  for (let index = 0; index < 500; index++) write(`chroot.d/c${index}.conf`, stanza(`c${index}`, "profile=sbuild\n"));
  // Of the processor's time, not the clock's; the best of some, one after the other: other work on the machine meets both.
  const best = { find: Infinity, read: Infinity };
  const time = (what: keyof typeof best, work: () => unknown): void => {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    best[what] = Math.min(best[what], user + system);
  };
  for (let round = 0; round < 7; round++) {
    time("find", () => expect(findChroot("c499", dir).name).toBe("c499"));
    time("read", () => expect(readChroots(dir).chroots).toHaveLength(500));
  }
  expect(best.find).toBeLessThan(best.read);
});
