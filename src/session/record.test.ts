import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { openDirectory } from "../kernel/file.ts";
import { sessionDir } from "./paths.ts";
import { readRecord, readSummary, recordKind, removeRecord, type SessionRecord, writeRecord } from "./record.ts";

const record: Omit<SessionRecord, "version"> = {
  id: "x",
  chroot: "tiny",
  createdMs: 1_700_000_000_000,
  expiresMs: 1_700_000_060_000,
  upper: { kind: "directory", path: '/big\n"é' },
  network: "none",
  hostname: "inside",
  limits: { pids: 7 },
  plan: { steps: [{ kind: "copy", at: "/a", from: "/b" }] },
  unionOptions: [["index=on"]],
  files: { copies: [], databases: [{ name: "passwd", mode: "merge" }] },
  command: { prefix: [], shell: "/bin/sh", personality: "linux32", preserveEnvironment: false },
};
const dir = sessionDir("x");

beforeEach(() => {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true }));

for (const kind of ["named", "automatic"] as const) {
  test(`a ${kind} record is read as it was written, and leaves no temporary file`, () => {
    using open = openDirectory(dir);
    writeRecord(open, record, kind);
    expect(readRecord("x")).toEqual({ version: 1, ...record, kind });
    expect(readSummary("x")).toEqual({
      version: 1,
      id: "x",
      chroot: "tiny",
      createdMs: record.createdMs,
      expiresMs: 1_700_000_060_000,
      kind,
    });
    expect(recordKind("x")).toBe(kind);
    expect(readdirSync(dir).length).toBe(1);
    writeFileSync(`${dir}/.record.json.new`, "half of a");
    writeRecord(open, { ...record, hostname: "other" }, kind);
    expect(readRecord("x")?.hostname).toBe("other");
  });
}

test("removeRecord() takes a named one only, and may be repeated", () => {
  using open = openDirectory(dir);
  writeRecord(open, record, "named");
  removeRecord(open);
  removeRecord(open);
  expect([recordKind("x"), readRecord("x"), readSummary("x")]).toEqual([undefined, undefined, undefined]);
  writeRecord(open, record, "automatic");
  removeRecord(open);
  expect(recordKind("x")).toBe("automatic");
});

describe("a record that", () => {
  const write = (text: string) => writeFileSync(`${dir}/record.json`, text);
  const good = () => {
    using open = openDirectory(dir);
    writeRecord(open, record, "named");
    return readFileSync(`${dir}/record.json`, "utf8").split("\n") as [string, string, string];
  };

  test("a newer Fallthru has written is refused, not guessed at", () => {
    const [summary, details] = good();
    write(`${summary.replace('"version":1', '"version":2')}\n${details}\n`);
    const newer = new UserError("newer", "session x was begun by a newer Fallthru (record version 2)");
    expect(() => readSummary("x")).toThrow(newer);
    expect(() => readRecord("x")).toThrow(newer);
    write('{"version":99,"what":"ever"}');
    expect(() => readSummary("x")).toThrow(/record version 99/);
  });

  test("is damaged says so, whatever is in it", () => {
    const [summary, details] = good();
    const texts = [
      "",
      "\n",
      "null\nnull\n",
      "1\n1\n",
      "[]\n[]\n",
      "{}\n{}\n",
      '"text"\n',
      "\0\0\0\0",
      summary.slice(0, 20),
      summary.replace('"id":"x"', '"id":"y"'),
      summary.replace('"version":1', '"version":"1"'),
      summary.replace('"version":1', '"version":0'),
    ];
    for (const text of texts) {
      write(text);
      expect(() => readSummary("x")).toThrow("the record of session x is damaged");
      expect(() => readRecord("x")).toThrow("the record of session x is damaged");
    }
    for (const second of ["", "null", "{}", "[]", details.slice(0, -5), '{"plan":{}}', '{"plan":{"steps":[]}}']) {
      write(`${summary}\n${second}\n`);
      expect(() => readRecord("x")).toThrow("the record of session x is damaged");
    }
  });
});
