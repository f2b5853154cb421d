// Who may do what: the rules of src/frontend/schroot/access.ts against what the real schroot lets the same people do.
import { expect, test } from "bun:test";
import { findChroot } from "../../src/chroot/config.ts";
import { type Access, accessTo, type Asker } from "../../src/frontend/schroot/access.ts";
import { chrootKeys, sourceKeys } from "../../src/frontend/schroot/described.ts";
import type { Keys } from "../../src/frontend/schroot/keys.ts";
import { makeTwins, runTwin, type Said } from "../support/schroot.ts";

const askers: readonly Asker[] = [
  { uid: 4001, name: "alice", groups: new Set(["alice", "builders"]) },
  { uid: 4002, name: "bob", groups: new Set(["bob"]) },
  { uid: 4003, name: "carol", groups: new Set(["carol"]) },
];
const chroots = ["default", "plain", "dir", "ov", "pre", "source:ov", "source:pre"];

const base = makeTwins();
const cases = askers.flatMap((asker) =>
  chroots.flatMap((chroot) => [asker.name, "root", "daemon"].map((wanted) => ({ asker, chroot, wanted }))),
);
const theirs = await runTwin(
  base,
  "schroot",
  cases.map(({ asker: { name }, chroot, wanted }) => {
    const identity = `--reuid ${name} --regid ${name} --init-groups`;
    return `setpriv ${identity} schroot -c ${chroot} -d / -u ${wanted} -- true`;
  }),
);

test.each(cases.map((each, index) => [each.asker.name, each.chroot, each.wanted, index] as const))(
  "accessTo(): %s in %s as %s",
  (_, __, wanted, index) => {
    const { asker, chroot } = cases[index] ?? { asker: askers[0], chroot: "" };
    if (asker === undefined) throw new Error("no such case");
    expect(accessTo(keysOf(chroot), asker, wanted)).toBe(accessOf(theirs[index]));
  },
);

test("accessTo() refuses the superuser nothing", () => {
  const root = { uid: 0, name: "root", groups: new Set<string>() };
  for (const name of chroots) expect(accessTo(keysOf(name), root, "daemon")).toBe("granted");
});

test("accessTo() narrows a session to its creator", () => {
  const [alice, bob] = askers;
  if (alice === undefined || bob === undefined) throw new Error("nobody");
  const session = (list: string): Keys => ({
    users: "",
    groups: "",
    "root-users": "",
    "root-groups": "",
    [list]: "alice",
  });
  expect(accessTo(session("users"), alice, "alice")).toBe("granted");
  expect(accessTo(session("users"), alice, "root")).toBe("authenticate");
  expect(accessTo(session("root-users"), alice, "root")).toBe("granted");
  expect(accessTo(session("root-users"), bob, "bob")).toBe("denied");
});

function keysOf(name: string): Keys {
  const chroot = findChroot(name.replace("source:", ""), base);
  return name.startsWith("source:") ? sourceKeys(chroot) : chrootKeys(chroot);
}

/** Nobody has a password here, so whoever is asked for one fails. */
function accessOf(said: Said | undefined): Access {
  if (said?.status === 0) return "granted";
  if (said?.stderr.includes("Access not authorised") === true) return "denied";
  if (said?.stderr.includes("Authentication failed") === true) return "authenticate";
  throw new Error(`schroot said: ${said?.stderr ?? ""}`);
}
