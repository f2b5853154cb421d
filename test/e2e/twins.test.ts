import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run, startFallthru } from "../support/fallthru.ts";
import { untilRuns } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

test("ending a session harms none of the same name in another mount name space", async () => {
  describeChroot("twin", tinyRoot());
  expect((await fallthru(["begin", "twin", "--name", "twin"])).status).toBe(0);
  const child = startFallthru(["run", "@twin", "--directory", "/tmp", "--", "sleep", "60"], { stdio: "ignore" });
  const ended = new Promise((done) => child.on("exit", (_, signal) => done(signal)));
  await untilRuns("sleep 60");
  const state = temporaryDirectory("state");
  mkdirSync(`${state}/sessions`);
  const other = `umount --lazy /run/fallthru; mount --bind ${state} /var/lib/fallthru
    ${executable} begin twin --name twin; ${executable} run @twin -- sh -c "sleep 60 &"; ${executable} end twin`;
  const { stdout, stderr } = await run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", other]);
  expect([stdout, stderr]).toEqual(["twin\nended twin, killed 1 process\n", ""]);
  expect(child.exitCode).toBe(null);
  expect(child.signalCode).toBe(null);
  expect((await fallthru(["end", "twin"])).status).toBe(0);
  expect(await ended).toBe("SIGTERM");
});
