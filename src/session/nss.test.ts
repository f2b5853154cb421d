import { expect, test } from "bun:test";
import { isAccounts, mergeDatabase, withAccount, withGroups } from "./nss.ts";

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

const alice = { name: "alice", uid: 7001, gid: 7001, home: "/home/alice", shell: "/bin/bash" };

test("withAccount() adds a person, or puts right who has their name or number", () => {
  const root = "root:x:0:0:root:/root:/bin/sh\n";
  const entry = "alice:x:7001:7001::/home/alice:/bin/bash\n";
  expect(withAccount(root, alice)).toBe(root + entry);
  expect(withAccount(root.trimEnd(), alice)).toBe(root + entry);
  const named = "alice:x:1000:1000:Alice L.:/a:/bin/false\n";
  expect(withAccount(`${named}${root}`, alice)).toBe(entry.replace("::", ":Alice L.:") + root);
  expect(withAccount(`${root}other:x:7001:1:::\n${named}`, alice)).toBe(root + entry.replace("::", ":Alice L.:"));
  expect(withAccount(entry, alice)).toBe(entry);
});

test("withAccount() leaves the superuser's other names alone", () => {
  const passwd = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n";
  expect(withAccount(passwd, { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/sh" })).toBe(passwd);
});

test("withGroups() adds names for numbers that have none, and takes no name from another number", () => {
  const groups = [
    { name: "students", gid: 7100 },
    { name: "users", gid: 7200 },
    { name: "audio", gid: 29 },
  ];
  expect(withGroups("users:x:100:\nsound:x:29:\n", groups)).toBe("users:x:100:\nsound:x:29:\nstudents:x:7100:\n");
});
