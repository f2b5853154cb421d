import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { type SessionOptionValues } from "./session-options.ts";
import { sessionOptions } from "./session-values.ts";

const nothing: SessionOptionValues = {
  name: undefined,
  bind: [],
  network: undefined,
  union: undefined,
  hostname: undefined,
  memory: undefined,
  cpus: undefined,
  pids: undefined,
  upper: undefined,
  lower: [],
  ttl: undefined,
};

test("sessionOptions() has nothing that wasn't given", () => {
  expect(sessionOptions(nothing)).toEqual({});
  const given = { ...nothing, name: "fix", network: "none", hostname: "box", ttl: 60, memory: 2 ** 20 } as const;
  expect(sessionOptions(given)).toEqual({
    name: "fix",
    network: "none",
    hostname: "box",
    ttlSeconds: 60,
    limits: { memoryBytes: 2 ** 20 },
  });
});

test("paths of the host's become absolute", () => {
  const { lowers } = sessionOptions({ ...nothing, lower: ["../a", "/b/"] });
  expect(lowers).toEqual([resolve("../a"), "/b"]);
});

describe("--upper", () => {
  test.each([
    ["/srv", { kind: "directory", path: "/srv" }],
    ["tmpfs", { kind: "tmpfs" }],
    ["tmpfs:2G", { kind: "tmpfs", sizeBytes: 2 ** 31 }],
    ["./tmpfs", { kind: "directory", path: resolve("tmpfs") }],
  ])("%s", (upper, expected) => {
    expect(sessionOptions({ ...nothing, upper })).toEqual({ upper: expected as never });
  });

  test.each(["", "tmpfs:", "tmpfs:x"])("refuses %p", (upper) => {
    expect(() => sessionOptions({ ...nothing, upper })).toThrow("--upper");
  });
});

describe("--bind", () => {
  test.each([
    ["/a", { from: "/a", to: "/a", readOnly: false }],
    ["/a:/b", { from: "/a", to: "/b", readOnly: false }],
    ["/a:/b:ro", { from: "/a", to: "/b", readOnly: true }],
    ["/a::ro", { from: "/a", to: "/a", readOnly: true }],
    ["a", { from: resolve("a"), to: resolve("a"), readOnly: false }],
  ])("%s", (bind, expected) => {
    expect(sessionOptions({ ...nothing, bind: [bind] })).toEqual({ binds: [expected] });
  });

  test.each(["", ":", ":/b", "/a:b", "/a:/b:rw", "/a:/b:ro:x"])("refuses %p", (bind) => {
    expect(() => sessionOptions({ ...nothing, bind: [bind] })).toThrow("--bind: can't be understood");
  });
});

test("memory in which nothing starts can't be a limit", () => {
  expect(() => sessionOptions({ ...nothing, memory: 512 })).toThrow("--memory: no process starts with 512 bytes");
});

test("a part of a process can't be a limit", () => {
  expect(() => sessionOptions({ ...nothing, pids: 1.5 })).toThrow("--pids: no whole number: 1.5");
});
