import { expect, test } from "bun:test";
import { isAccounts, mergeDatabase } from "./nss.ts";

const lines = (...each: readonly string[]) => each.map((line) => `${line}\n`).join("");

test("mergeDatabase() keeps the root's system accounts and takes the host's people", () => {
  const own = lines(
    "root:x:0:0:own:/root:/bin/sh",
    "_apt:x:42:65534::/:/bin/false",
    "anna:x:1000:1000:own:/home/a:/bin/sh",
    "nobody:x:65534:65534:own:/:/bin/false",
    "app:x:200:200::/:/bin/sh",
  );
  const host = lines(
    "root:x:0:0:host:/root:/bin/bash",
    "_apt:x:100:65534::/:/bin/false",
    "anna:x:1001:1001:host:/home/anna:/bin/zsh",
    "ben:x:59999:1::/:/bin/sh",
    "nobody:x:65534:65534:host:/:/bin/false",
    "new:x:300:300::/:/bin/false",
  );
  expect(mergeDatabase("passwd", own, host)).toBe(
    lines(
      "root:x:0:0:own:/root:/bin/sh",
      "_apt:x:42:65534::/:/bin/false",
      "anna:x:1001:1001:host:/home/anna:/bin/zsh",
      "nobody:x:65534:65534:own:/:/bin/false",
      "app:x:200:200::/:/bin/sh",
      "ben:x:59999:1::/:/bin/sh",
      "new:x:300:300::/:/bin/false",
    ),
  );
});

test("mergeDatabase() joins the members of groups", () => {
  const own = lines("audio:x:29:anna", "users:x:100:", "anna:x:1000:", "own:x:7:x");
  const host = lines("audio:*:63:anna,ben", "users:x:100:ben,,anna", "anna:x:1001:ben");
  expect(mergeDatabase("group", own, host)).toBe(
    lines("audio:x:29:anna,ben", "users:x:100:ben,anna", "anna:x:1001:ben", "own:x:7:x"),
  );
  expect(mergeDatabase("gshadow", lines("audio:!::anna"), lines("audio:*::ben", "new:!::"))).toBe(
    lines("audio:!::anna,ben", "new:!::"),
  );
});

test("mergeDatabase() keeps the root's own passwords", () => {
  expect(mergeDatabase("shadow", lines("root:own:1::::::"), lines("root:host:2::::::", "anna:hers:3::::::"))).toBe(
    lines("root:own:1::::::", "anna:hers:3::::::"),
  );
});

test("mergeDatabase() passes over NIS's lines of the host, odd lines and what is equal, and ends lines", () => {
  expect(
    mergeDatabase(
      "passwd",
      "a:x:1:1::/:/bin/sh",
      lines("+@netgroup::::::", "-bad::::::", "+", "a:x:1:1::/:/bin/sh", "nonsense", "", "b:x:2:2::/:/bin/sh"),
    ),
  ).toBe(lines("a:x:1:1::/:/bin/sh", "b:x:2:2::/:/bin/sh"));
  expect(mergeDatabase("passwd", "+::::::\nodd\n", "")).toBe("+::::::\nodd\n");
  expect(mergeDatabase("passwd", "", "")).toBe("");
  const bytes = Buffer.from([0x61, 0x3a, 0xff, 0xe9]).toString("latin1");
  expect(Buffer.from(mergeDatabase("passwd", bytes, bytes), "latin1")).toEqual(
    Buffer.from([0x61, 0x3a, 0xff, 0xe9, 0x0a]),
  );
});

test("isAccounts() knows the databases with accounts", () => {
  expect(["passwd", "shadow", "group", "gshadow", "hosts", "services"].map(isAccounts)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
});
