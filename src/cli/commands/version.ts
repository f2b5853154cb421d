import { command } from "../command.ts";

/** The same as in package.json; a test compares them. */
export const programVersion = "0.1.0";

/** When that version was released; the manual pages say it. */
export const releaseDate = "2026-11-22";

export const version = command({
  name: "version",
  summary: "print the version",
  operands: {},
  options: {},
  examples: [
    { line: "fallthru version --json", does: "the versions of Fallthru, of its runtime and of the kernel's interface" },
  ],
  exits: {},
  json: [
    { name: "version", type: "string", summary: "Fallthru's version" },
    { name: "runtime", type: "string", summary: "what runs it, and that one's version" },
    { name: "architecture", type: "string", summary: "`x64`, `arm64`" },
  ],
  run: () => ({ data: { version: programVersion, runtime: runtimeText(), architecture: process.arch } }),
  text: (data) => `fallthru ${data.version}\n`,
});

function runtimeText(): string {
  const { bun, node } = process.versions;
  return bun === undefined ? `node ${node}` : `bun ${bun}`;
}
