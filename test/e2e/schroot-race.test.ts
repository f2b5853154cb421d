// Between the question whether somebody may use a session and its use, that session may end, and another may be begun
// by its name: then it isn't the one that was allowed.
import { existsSync } from "node:fs";
import { expect, test } from "bun:test";
import type { Caller } from "../../src/frontend/schroot/caller.ts";
import { schroot } from "../../src/frontend/schroot/schroot.ts";
import { describeChroot } from "../support/directories.ts";
import { tinyRoot } from "../support/roots.ts";

let said = "";

function caller(name: string, uid: number, meanwhile: () => Promise<unknown> = async () => {}): Caller {
  return {
    pid: process.pid,
    uid,
    gid: uid,
    groups: [],
    name,
    groupName: name,
    home: "/",
    shell: "/bin/sh",
    environment: {},
    directory: "/",
    verbatim: (value) => value,
    say: (_, text) => {
      said += text;
    },
    run: () => Promise.reject(new Error("ran")),
    // Asked for after the rules have been looked at: here is all the time there is.
    authenticate: async () => {
      await meanwhile();
      said = "";
    },
  };
}

const other = caller("games", 4002);
const replace = async () => {
  expect(await schroot(["-e", "-c", "x"], caller("alice", 4001))).toBe(0);
  expect(await schroot(["-b", "-c", "tiny", "-n", "x"], other)).toBe(0);
};

test.each([[["-r", "-d", "/", "--", "true"]], [["-e", "-f"]]])(
  "schroot -c x %p of a session that was replaced",
  async (words) => {
    describeChroot("tiny", tinyRoot(), ["users=alice,games", "union-type=overlay"]);
    expect(await schroot(["-b", "-c", "tiny", "-n", "x"], caller("alice", 4001))).toBe(0);
    const [action = "", ...more] = words;
    const status = await schroot([action, "-c", "x", "-u", "games", ...more], caller("alice", 4001, replace));
    expect({ status, said }).toEqual({ status: 1, said: "E: x: Chroot not found\n" });
    expect(existsSync("/var/lib/schroot/session/x")).toBe(true);
    expect(await schroot(["-e", "-c", "x"], other)).toBe(0);
  },
);
