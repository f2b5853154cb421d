// Sessions inside sessions: Fallthru runs in one, on a chroot that is in there.
import { afterEach, beforeAll, expect, test } from "bun:test";
import { dirname } from "node:path";
import { describeChroot } from "../support/directories.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { debianRoot, tinyRoot } from "../support/roots.ts";

let before: Traces;

beforeAll(async () => {
  describeChroot("outer", await debianRoot(), ["profile=fallthru", "union-type=overlay"]);
  await fallthru(["recover"]);
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all", "--force"]);
  expect(await leftoversAfter(before)).toEqual([]);
});

const describeInner = `mkdir -p /etc/schroot/chroot.d
printf '[inner]\\ntype=directory\\ndirectory=/srv/inner\\nunion-type=overlay\\nprofile=fallthru\\n' > /etc/schroot/chroot.d/inner.conf`;

async function beginOuter(): Promise<void> {
  const binds = ["--bind", `${dirname(executable)}:/opt`, "--bind", `${tinyRoot()}:/srv/inner`];
  expect(await fallthru(["begin", "outer", "--name", "outer", ...binds])).toMatchObject({ status: 0 });
}

const inside = (script: string) => fallthru(["run", "@outer", "--", "sh", "-ec", `${describeInner}; ${script}`]);

test("a session inside a session is begun, run in and ended", async () => {
  await beginOuter();
  const script = `/opt/fallthru begin inner --name in --upper tmpfs; /opt/fallthru run @in -- sh -c 'echo x > /etc/x; cat /etc/x'
    /opt/fallthru end in; /opt/fallthru run inner --upper tmpfs -- ls /etc/x || true`;
  const { stdout, status } = await inside(script);
  expect({ stdout, status }).toEqual({ stdout: "in\nx\nended in\n", status: 0 });
});

test("one that is open inside goes with the one around it, and its processes with it", async () => {
  await beginOuter();
  const script = `/opt/fallthru begin inner --name in --upper tmpfs
    setsid /opt/fallthru run @in -- sleep 1000 >/dev/null 2>&1 & sleep 0.5`;
  expect(await inside(script)).toMatchObject({ status: 0, stdout: "in\n" });
  expect(await fallthru(["end", "outer", "--force"])).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^ended outer, killed \d/) as string,
  });
});
