import { expect, test } from "bun:test";
import { groupText, type Keys, listOf, parseGroup, sessionKeys } from "./keys.ts";

const chroot: Keys = {
  aliases: "a,b",
  description: "A = b",
  groups: "staff",
  "root-groups": "wheel",
  "root-users": "eve",
  "source-users": "eve",
  "union-overlay-directory": "/o",
  "union-type": "overlay",
  "union-underlay-directory": "/u",
  users: "alice,bob",
  "zoo.key": "1",
};
const beginning = {
  id: "s",
  mountPoint: "/m/s",
  originalName: "c",
  selectedName: "a",
  creator: "bob",
  mayBeRoot: false,
};

test("groupText() writes what parseGroup() reads", () => {
  expect(parseGroup(groupText("c", chroot))).toEqual({ name: "c", keys: chroot });
});

test("groupText() refuses values that would become other keys", () => {
  for (const value of ["1\nroot-users=bob", "1\rx", "1\0"]) {
    expect(() => groupText("c", { ...chroot, "zoo.key": value })).toThrow("zoo.key");
  }
  expect(() => groupText("c", { ...chroot, "x\nusers": "bob" })).toThrow("more than one line");
});

test("parseGroup() takes no file that says a thing twice, or anything but keys", () => {
  for (const text of ["[s]\nusers=a\nusers=b\n", "[s]\nusers\n", "users=a\n", "", "[s]\n[t]\n"]) {
    expect(parseGroup(text)).toBeUndefined();
  }
});

test("sessionKeys() narrows a session to whoever begins it", () => {
  const session = sessionKeys(chroot, beginning);
  const lists = (keys: Keys) => ["users", "groups", "root-users", "root-groups"].map((list) => listOf(keys, list));
  expect(lists(session)).toEqual([["bob"], [], [], []]);
  expect(lists(sessionKeys(chroot, { ...beginning, mayBeRoot: true }))).toEqual([[], [], ["bob"], []]);
  expect(session).toMatchObject({
    name: "s",
    "original-name": "c",
    "selected-name": "a",
    "union-overlay-directory": "/o/s",
  });
  expect(session["source-users"]).toBeUndefined();
});
