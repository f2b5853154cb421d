import { describe, expect, test } from "bun:test";
import { readStanza } from "./chroot.ts";
import { parseConfig } from "./parse.ts";
import { problemText } from "./problem.ts";
import type { Chroot } from "./types.ts";

const head = "[a]\ntype=directory\ndirectory=/srv/a\n";

function read(text: string): ReturnType<typeof readStanza> {
  const [stanza] = parseConfig(text, "x.conf").stanzas;
  if (stanza === undefined) throw new Error("no stanza");
  return readStanza(stanza);
}

function chrootOf(text: string): Chroot {
  const reading = read(text);
  if (reading.kind === "chroot") return reading.chroot;
  throw new Error(reading.problems.map(problemText).join("\n"));
}

function problemsOf(text: string): string[] {
  const reading = read(text);
  return reading.kind === "chroot" ? [] : reading.problems.map(problemText);
}

/** Of a chroot that can be used. */
function warningsOf(text: string): string[] {
  return chrootOf(text).warnings.map(problemText);
}

test("readStanza() fills in schroot's defaults", () => {
  expect(chrootOf("[a]\ndirectory=/srv/a\n")).toMatchObject({
    type: "plain",
    name: "a",
    file: "x.conf",
    line: 1,
    directory: "/srv/a",
    profile: "default",
    messageVerbosity: "normal",
    personality: "undefined",
    preserveEnvironment: false,
    users: [],
    lowers: [],
  });
});

test("readStanza() reads every key of a directory chroot", () => {
  const chroot = chrootOf(`${head}
description=Debian sid
description[fr_FR]=Debian instable
priority=3
users= jim , , ann
groups=sbuild
root-users=
root-groups=root,sbuild
aliases=unstable, default,a
profile=sbuild
setup.fstab=a/fstab
setup.services=ssh,cron
message-verbosity=verbose
command-prefix=eatmydata,nice, -n,5
personality=linux32
preserve-environment=yes
shell=/bin/dash
environment-filter=^(LD_.*|IFS)$
union-type=overlay
union-overlay-directory=//mnt/./over/
source-clone=0
source-root-users=root
user-modifiable-keys=debian.dist
fallthru.lower=/opt/a, /opt/b/
debian.dist=sid
`);
  expect(chroot).toMatchObject({
    description: "Debian sid",
    users: ["jim", "ann"],
    rootUsers: [],
    rootGroups: ["root", "sbuild"],
    aliases: ["unstable", "default"],
    profile: "sbuild",
    setup: { fstab: "a/fstab", copyfiles: undefined, services: ["ssh", "cron"] },
    messageVerbosity: "verbose",
    commandPrefix: ["eatmydata", "nice", "-n", "5"],
    personality: "linux32",
    preserveEnvironment: true,
    shell: "/bin/dash",
    environmentFilter: "^(LD_.*|IFS)$",
    union: { type: "overlay", overlayDirectory: "/mnt/over", underlayDirectory: undefined },
    source: { clone: false, rootUsers: ["root"] },
    userModifiableKeys: ["debian.dist"],
    lowers: ["/opt/a", "/opt/b"],
    custom: { "debian.dist": "sid" },
  });
});

test("readStanza() takes script-config for the profile, as schroot does", () => {
  expect(chrootOf(`${head}script-config=sbuild/config\nprofile=minimal\n`).profile).toBe("sbuild");
});

test("readStanza() takes location where directory is missing, and not both", () => {
  expect(chrootOf("[a]\nlocation=/srv/a\n")).toMatchObject({ directory: "/srv/a" });
  expect(problemsOf("[a]\nlocation=/srv/a\ndirectory=/srv/b\n")).toEqual([
    "x.conf:2: [a] location is an old name of directory, which is there too",
  ]);
});

test("readStanza() leaves .. in a path to the kernel, as links decide what it means", () => {
  expect(chrootOf("[a]\ndirectory=/tmp//x/../y/\n")).toMatchObject({ directory: "/tmp/x/../y" });
});

describe("readStanza() uses the chroot, and warns of", () => {
  const dropped = "the comment behind the value is dropped, which schroot takes for a part of it";
  const cases: readonly [lines: string, problem: string][] = [
    ["users2=x", 'unknown key "users2"'],
    ["file=/x", 'unknown key "file"'],
    ["name=x", 'unknown key "name"'],
    ["users[fr]=x", 'unknown key "users[fr]"'],
    ["description[]=x", 'unknown key "description[]"'],
    ["Foo.bar=1", 'unknown key "Foo.bar"'],
    ["foo.1bar=1", 'unknown key "foo.1bar"'],
    ["session.id=1", 'unknown key "session.id"'],
    ["setup.data.dir=1", 'unknown key "setup.data.dir"'],
    ["fallthru.lowers=/x", 'unknown key "fallthru.lowers"'],
    ["users=root # me", `users: ${dropped}`],
    ["personality=linux32 # or not", `personality: ${dropped}`],
    ["groups=root, sbuild", "groups: white space in the list is dropped, which schroot takes for a part of the names"],
    ["preserve-environment=True", 'preserve-environment: "True" isn\'t one of true, yes, 1 or false, no, 0'],
  ];
  for (const [lines, problem] of cases)
    test(lines, () => expect(warningsOf(`${head}${lines}\n`)).toEqual([`x.conf:4: [a] ${problem}`]));
  test("what it takes is what was meant", () => {
    const text = `${head}users = root , srb1  # comment\r\npersonality=linux32 # x\npreserve-environment=maybe\n`;
    const { users, personality, preserveEnvironment } = chrootOf(text);
    expect({ users, personality, preserveEnvironment }).toEqual({
      users: ["root", "srb1"],
      personality: "linux32",
      preserveEnvironment: false,
    });
  });
});

describe("readStanza() names file and line of", () => {
  const cases: readonly [lines: string, problem: string][] = [
    ["aliases=b c", "aliases: \"b c\" can't be a chroot's name"],
    ["aliases=session:b", "aliases: \"session:b\" can't be a chroot's name"],
    ["aliases=host", 'aliases: the name "host" is reserved for this machine\'s own root'],
    ["union-type=", 'union-type: "" isn\'t one of none, aufs, overlayfs, overlay, unionfs, fallthru, auto'],
    ["union-overlay-directory=x", 'union-overlay-directory: "x" isn\'t an absolute path'],
    ["message-verbosity=x", 'message-verbosity: "x" isn\'t one of quiet, normal, verbose'],
    ["profile=", "profile: the profile's name is empty"],
    ["fallthru.lower=/a,b", 'fallthru.lower: "b" isn\'t an absolute path'],
    ["groups=a\ngroups=b", 'the key "groups" is there twice; first on line 4'],
    ["foo.bar.baz=1\nfoo.bar-baz=2", "the keys foo.bar.baz and foo.bar-baz would both set FOO_BAR_BAZ"],
  ];
  for (const [lines, problem] of cases) {
    const line = 3 + lines.split("\n").length;
    test(lines, () => expect(problemsOf(`${head}${lines}\n`)).toEqual([`x.conf:${line}: [a] ${problem}`]));
  }
  test("an expression that can't be compiled", () => {
    expect(problemsOf(`${head}environment-filter=(\n`)).toEqual([
      'x.conf:4: [a] environment-filter: "(" isn\'t a regular expression',
    ]);
  });
});

test("readStanza() reads every key of each type that makes its root", () => {
  const cases: readonly [text: string, expected: object][] = [
    ["type=file\nfile=/srv/a.tar.xz\nlocation=inner", { archive: "/srv/a.tar.xz", location: "/inner" }],
    ["type=file # tar\nfile=/srv/a.tar", { location: "/", source: { clone: true } }],
    [
      "type=loopback\nfile=/srv/a.img\nmount-options=-o atime,sync -t ext4\nlocation=/sid\nunion-type=auto",
      { mount: { type: "ext4", options: ["atime", "sync"], location: "/sid" }, union: { type: "auto" } },
    ],
    ["type=block-device\ndevice=/dev/sda5\nmount-options=noatime", { mount: { options: ["noatime"] } }],
    [
      "type=btrfs-snapshot\nbtrfs-source-subvolume=/srv/a\nbtrfs-snapshot-directory=/srv/b",
      { subvolume: "/srv/a", snapshots: "/srv/b" },
    ],
    ["type=lvm-snapshot\ndevice=/dev/vg/a\nlvm-snapshot-options=-L  2g", { snapshotOptions: ["-L", "2g"] }],
    ["type=zfs-snapshot\nzfs-dataset=tank/a\nzfs-snapshot-options=-o x=y", { dataset: "tank/a" }],
    ["type=custom\ncustom-session-purgeable=true\nmy.key=1", { sessionPurgeable: true, custom: { "my.key": "1" } }],
    ["type=\ndirectory=/srv/a", { type: "plain", directory: "/srv/a" }],
  ];
  for (const [text, expected] of cases) expect(chrootOf(`[a]\n${text}\n`)).toMatchObject(expected);
});

describe("readStanza() says of", () => {
  const cases: readonly [text: string, problems: string[]][] = [
    ["[a]\n", ['x.conf:1: [a] lacks the key "directory"']],
    ["[a]\ndirectory=\n", ['x.conf:2: [a] directory: "" isn\'t an absolute path']],
    ["[a]\ndirectory=/x\u0001y\n", ['x.conf:2: [a] directory: "/x\\u0001y" has a control character']],
    ["[a]\ndirectory=/caf\uFFFD\n", ['x.conf:2: [a] directory: "/caf\uFFFD" isn\'t UTF-8']],
    ["[a]\ntype=other\ndirectory=/x\nwhatever=1\n", ['x.conf:2: [a] unknown type "other"']],
    ["[a]\ntype=file\n", ['x.conf:1: [a] lacks the key "file"']],
    ["[a]\ntype=loopback\nfile=x\n", ['x.conf:3: [a] file: "x" isn\'t an absolute path']],
    ["[a]\ntype=zfs-snapshot\nzfs-dataset=-x\n", ["x.conf:3: [a] zfs-dataset: \"-x\" isn't a dataset's name"]],
    [
      "[a]\ntype=block-device\ndevice=/dev/x\nmount-options=--make-shared\n",
      ["x.conf:4: [a] mount-options: --make-shared isn't an option that can be given to a mount here"],
    ],
    ["[a:b]\ndirectory=/x\n", ["x.conf:1: [a:b] \"a:b\" can't be a chroot's name"]],
    ["[é]\ndirectory=/x\n", ["x.conf:1: [é] \"é\" can't be a chroot's name"]],
    ["[a.dpkg-old]\ndirectory=/x\n", ["x.conf:1: [a.dpkg-old] \"a.dpkg-old\" can't be a chroot's name"]],
    ["[adpkg-tmp]\ndirectory=/x\n", ["x.conf:1: [adpkg-tmp] \"adpkg-tmp\" can't be a chroot's name"]],
    ["[host]\ndirectory=/x\n", ['x.conf:1: [host] the name "host" is reserved for this machine\'s own root']],
    ["[a\ndirectory=/x\njunk\n", ['x.conf:1: bad line "[a"']],
  ];
  for (const [text, problems] of cases) test(JSON.stringify(text), () => expect(problemsOf(text)).toEqual(problems));
});

test("readStanza() shows all problems, a missing key last, and guesses what was meant", () => {
  const reading = read("[a]\ntype=directory\ndirctory=/x\ngroup=x\n");
  if (reading.kind !== "spoilt") throw new Error("taken");
  expect(reading.problems.map(({ line, message, hint }) => [line, message, hint])).toEqual([
    [3, '[a] unknown key "dirctory"', 'did you mean "directory"?'],
    [4, '[a] unknown key "group"', 'did you mean "groups"?'],
    [1, '[a] lacks the key "directory"', undefined],
  ]);
});
