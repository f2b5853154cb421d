import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { waitUntilReady } from "./poll.ts";
import { endOf, openProcess } from "./wait.ts";

/** Starts a shell's child, whom nobody buries before the shell ends. */
async function startGrandchild(script: string) {
  const parent = spawn("sh", ["-c", `(${script}) & echo $!; exec sleep 1000`], { stdio: ["ignore", "pipe", "ignore"] });
  const pid = Number(await new Promise((line) => parent.stdout.once("data", line)));
  return { parent, pid };
}

test.each([
  ["exit 3", { kind: "exited", status: 3 }],
  ["kill -9 $(exec sh -c 'echo $PPID')", { kind: "killed", signal: 9 }],
] as const)("endOf() tells of a process that isn't ours how it ended: %s", async (script, outcome) => {
  const { parent, pid } = await startGrandchild(`sleep 0.2; ${script}`);
  using process = openProcess(pid);
  expect(endOf(process, pid)).toBeUndefined();
  while (waitUntilReady([{ file: process }], -1).length === 0);
  expect(endOf(process, pid)).toEqual(outcome);
  // Buried by who adopts it.
  const ended = new Promise((done) => parent.once("exit", done));
  parent.kill("SIGKILL");
  await ended;
  expect(endOf(process, pid)).toEqual(outcome);
});
