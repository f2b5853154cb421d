import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describeChroot, temporaryDirectory } from "../../test/support/directories.ts";
import { run } from "../../test/support/fallthru.ts";
import { tinyRoot } from "../../test/support/roots.ts";
import type { JsonField } from "./command.ts";
import { verbs } from "./commands/index.ts";
import { jsonPage } from "./json-page.ts";

const program = [process.execPath, resolve(import.meta.dirname, "main.ts")];

test("docs/json.md is what the declarations say: bun src/cli/json-page.ts docs/json.md", async () => {
  expect(readFileSync(resolve(import.meta.dirname, "../../docs/json.md"), "utf8")).toBe(await jsonPage());
});

test("every verb says what its JSON is", async () => {
  for (const { name, isHidden, load } of verbs) {
    if (isHidden !== true) expect({ name, fields: (await load()).json.length }).not.toEqual({ name, fields: 0 });
  }
});

describe("what is printed with --json is what is declared", () => {
  const folder = temporaryDirectory();
  beforeAll(async () => {
    describeChroot("tiny", tinyRoot());
    mkdirSync(join(folder, "upper"));
    await printed("begin", "begin tiny --name first --ttl 1h --hostname box --memory 1G --cpus 1 --pids 9");
    await printed("begin", `begin host --name second --network none --upper ${join(folder, "upper")}`);
    await printed("begin", "begin tiny --name third --upper tmpfs:1M");
  });
  afterAll(async () => {
    await printed("end", "end @first second third");
  });

  test.each([
    ["list", "list"],
    ["info", "info @first"],
    ["info", "info second"],
    ["info", "info @third"],
    ["info", "info tiny"],
    ["info", "info host"],
    ["run", "run tiny --dry-run"],
    ["recover", "recover"],
    ["gc", "gc"],
    ["doctor", "doctor"],
    ["chroot list", "chroot list"],
    ["chroot add", `chroot add added ${folder}`],
    ["chroot remove", "chroot remove added"],
    ["completion", "completion fish"],
    ["version", "version"],
  ])("%s: %s", async (name, line) => {
    expect(await printed(name, line)).toBeTruthy();
  });

  test("and it is complete", async () => {
    expect(await printed("list", "list")).toMatchObject({
      sessions: [{ id: "first", chroot: "tiny", state: "open" }, {}, {}],
    });
    expect(await printed("info", "info @first")).toMatchObject({
      kind: "session",
      hostname: "box",
      limits: { memoryBytes: 2 ** 30, cpus: 1, pids: 9 },
      unions: [{ path: "/", options: expect.arrayContaining([expect.any(String)]) }],
      processes: [],
    });
    expect(await printed("info", "info third")).toMatchObject({ upper: { kind: "tmpfs", sizeBytes: 2 ** 20 } });
  });

  /** Runs a line with --json and compares the document with the verb's declaration. */
  async function printed(name: string, line: string): Promise<unknown> {
    const { status, stdout, stderr } = await run([...program, "--json", ...line.split(" ")]);
    expect({ line, status, stderr }).toEqual({ line, status: 0, stderr: "" });
    const data: unknown = JSON.parse(stdout);
    const verb = await verbs.find((each) => each.name === name)?.load();
    const kind = (data as { kind?: string }).kind;
    const declared = (verb?.json ?? []).filter(
      ({ summary }) =>
        kind === undefined || !/^\((session|chroot|host)\)/.test(summary) || summary.startsWith(`(${kind})`),
    );
    expect(problems(data, declared)).toEqual([]);
    return data;
  }
});

/** Where a document and its declaration differ. */
function problems(data: unknown, declared: readonly JsonField[]): string[] {
  const found = new Set<string>();
  const wrong: string[] = [];
  const walk = (value: unknown, path: string) => {
    const field = declared.find(({ name }) => name === path);
    if (path !== "" && !path.endsWith("[]")) {
      found.add(path);
      if (field === undefined) wrong.push(`${path} isn't declared`);
      else if (!isA(field.type.replace("?", ""), value)) wrong.push(`${path} is no ${field.type}`);
    }
    if (Array.isArray(value)) for (const each of value) walk(each, `${path}[]`);
    else if (typeof value === "object" && value !== null) {
      for (const [key, each] of Object.entries(value)) walk(each, path === "" ? key : `${path}.${key}`);
    }
  };
  walk(data, "");
  const needed = declared.filter(({ name, type }) => !type.endsWith("?") && !name.includes("[]"));
  const missing = needed.filter(({ name }) => !found.has(name));
  return [...wrong, ...missing.map(({ name }) => `${name} is missing`)];
}

function isA(type: string, value: unknown): boolean {
  if (type.endsWith("[]")) return Array.isArray(value) && value.every((each) => isA(type.slice(0, -2), each));
  return type === typeof value;
}
