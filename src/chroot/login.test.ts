import { expect, test } from "bun:test";
import { readStanza } from "./chroot.ts";
import { parseConfig } from "./parse.ts";

function read(...lines: readonly string[]): ReturnType<typeof readStanza> {
  const text = ["[lab]", "type=directory", "directory=/", ...lines].join("\n");
  const [stanza] = parseConfig(text, "/etc/schroot/chroot.d/lab.conf").stanzas;
  if (stanza === undefined) throw new Error("no stanza");
  return readStanza(stanza);
}

test("readStanza() reads every key of a login", () => {
  const reading = read(
    "login.users=alice, bob",
    "login.groups=students",
    "login.session=login",
    "login.home=tmpfs",
    "login.share=/srv,/media/",
    "login.upper=tmpfs:1.5G",
    "login.memory=512M",
    "login.cpus=1.5",
    "login.pids=200",
    "login.ttl=1h30m",
    "login.network=none",
    "login.sudo=yes",
    "login.on-failure=host",
    "login.daemons=yes",
    "login.shell=/bin/zsh",
  );
  expect(reading).toMatchObject({
    kind: "chroot",
    chroot: {
      custom: {},
      login: {
        users: ["alice", "bob"],
        groups: ["students"],
        session: "login",
        home: "tmpfs",
        share: ["/srv", "/media"],
        upper: { kind: "tmpfs", sizeBytes: 1.5 * 2 ** 30 },
        memoryBytes: 512 * 2 ** 20,
        cpus: 1.5,
        pids: 200,
        ttlSeconds: 5400,
        network: "none",
        sudo: "yes",
        onFailure: "host",
        daemons: true,
        shell: "/bin/zsh",
      },
    },
  });
});

test("a login is as harmless as can be where nothing else is said; without users and groups there is none", () => {
  const login = { session: "user", home: "copy", share: [], upper: { kind: "state" }, sudo: "no", onFailure: "deny" };
  expect(read("login.users=alice")).toMatchObject({ kind: "chroot", chroot: { login } });
  expect(read("login.home=real")).toMatchObject({ kind: "chroot", chroot: { login: undefined } });
});

test.each([
  ["login.session=both", `login.session: "both" isn't one of user, login`],
  ["login.upper=disk", `login.upper: "disk" isn't state, tmpfs, tmpfs:SIZE or a directory`],
  ["login.upper=tmpfs:much", `login.upper: "much" isn't a size, such as 512M or 2G`],
  ["login.memory=0", `login.memory: "0" isn't a size, such as 512M or 2G`],
  ["login.memory=64k", `login.memory: "64k" is less than a login needs: 16M`],
  ["login.pids=1.5", `login.pids: "1.5" isn't a whole number`],
  ["login.cpus=-1", `login.cpus: "-1" isn't a number above 0`],
  ["login.ttl=soon", `login.ttl: "soon" isn't a time, such as 12h or 30m`],
  ["login.share=srv", `login.share: "srv" isn't an absolute path`],
  ["login.on-failure=maybe", `login.on-failure: "maybe" isn't one of deny, host`],
])("%s is refused with its file and line", (line, message) => {
  const file = "/etc/schroot/chroot.d/lab.conf";
  const problem = { file, line: 5, message: `[lab] ${message}` };
  expect(read("login.users=alice", line)).toMatchObject({ kind: "spoilt", problems: [problem] });
});

test("a misspelt key is warned of, and not taken for an administrator's own", () => {
  const warning = { line: 5, message: `[lab] unknown key "login.sesion"`, hint: `did you mean "login.session"?` };
  expect(read("login.users=alice", "login.sesion=user")).toMatchObject({
    kind: "chroot",
    chroot: { custom: {}, warnings: [warning] },
  });
});
