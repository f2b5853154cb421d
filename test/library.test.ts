// The library as a program on Node has it: dist/, on the Node that the package `node` brings.
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { temporaryDirectory, describeChroot } from "./support/directories.ts";
import { executable, run } from "./support/fallthru.ts";
import { tinyRoot } from "./support/roots.ts";

const top = resolve(import.meta.dirname, "..");
const node = resolve(top, "node_modules/node/bin/node");

test("the library runs on Node 22 or newer", async () => {
  const { stdout, stderr } = await run([node, "--print", "process.versions.node"]);
  expect(stderr).toBe("");
  expect(Number(stdout.split(".")[0])).toBeGreaterThanOrEqual(22);
});

test("beginSession(), listSessions() and endSession() work on Node", async () => {
  describeChroot("tiny", tinyRoot());
  const program = `
    import { beginSession, endSession, listSessions, UserError } from ${JSON.stringify(resolve(top, "dist/index.js"))};
    await beginSession("tiny", { name: "from-node" });
    console.log(listSessions().map(({ id, chroot, state }) => [id, chroot, state].join(" ")).join());
    await endSession("from-node");
    console.log(listSessions().length);
    try {
      await beginSession("no-such-chroot");
    } catch (error) {
      console.log(error instanceof UserError, error.code);
    }
  `;
  const result = await run([node, "--input-type=module", "--eval", program], { directory: temporaryDirectory() });
  expect(result).toMatchObject({ status: 0, stdout: "from-node tiny open\n0\ntrue not-found\n", stderr: "" });
});

test("commands have the standard input, output and error of the Node process", async () => {
  describeChroot("tiny", tinyRoot());
  const program = `
    import { beginSession, runInSession, runOnce } from ${JSON.stringify(resolve(top, "dist/index.js"))};
    const command = ["sh", "-c", "cat; echo out; echo err >&2; exit 3"];
    console.log(await runOnce("tiny", {}, { command }));
    await beginSession("tiny", { name: "node" });
    console.log(await runInSession("node", { command, pidNamespace: true }));
    await runInSession("node", { command });
  `;
  const script = `echo in | "$0" --input-type=module --eval "$1"`;
  const result = await run(["sh", "-c", script, node, program], { directory: temporaryDirectory() });
  await run([executable, "end", "node"]);
  expect(result).toMatchObject({ status: 3, stdout: "in\nout\n3\nout\n3\nout\n", stderr: "err\nerr\nerr\n" });
});

test("mountUnion() of fallthru/union mounts a union that a Node process serves", async () => {
  const base = temporaryDirectory("union");
  const union = JSON.stringify(resolve(top, "dist/mount/fallthru/index.js"));
  const program = `
    import { mkdirSync, writeFileSync } from "node:fs";
    import { mountUnion } from ${union};
    for (const name of ["lower", "upper", "target"]) mkdirSync(name);
    writeFileSync("lower/below", "below\\n");
    const [lower, upper, target] = ["lower", "upper", "target"].map((name) => process.cwd() + "/" + name);
    mountUnion({ lowers: [lower], upper }, target);
  `;
  const mounted = await run([node, "--input-type=module", "--eval", program], { directory: base });
  expect([mounted.stderr, mounted.status]).toEqual(["", 0]);
  const script = "cat target/below; echo new > target/below; cat upper/below lower/below; umount target";
  const used = await run(["sh", "-ec", script], { directory: base, timeoutMs: 60_000 });
  expect([used.stdout, used.stderr, used.status]).toEqual(["below\nnew\nbelow\n", "", 0]);
});
