import { describe, expect, test } from "bun:test";
import { command, type OptionsOf } from "./command.ts";
import { Mistake, parse } from "./parse.ts";

const options = {
  force: { type: "boolean", short: "f", summary: "" },
  allTheWay: { type: "boolean", short: "a", summary: "" },
  directory: { type: "string", short: "d", summary: "" },
  env: { type: "strings", short: "e", summary: "" },
  network: { type: "string", completes: ["host", "none"], summary: "" },
  memory: { type: "size", summary: "" },
  ttl: { type: "duration", default: 60, summary: "" },
  cpus: { type: "number", summary: "" },
} as const;

const base = { summary: "", options, examples: [], exits: {}, json: [], run: () => ({}) } as const;
const run = command({
  ...base,
  name: "run",
  operands: { source: { arity: "optional", summary: "" }, command: { arity: "command", summary: "" } },
});
const end = command({ ...base, name: "end", operands: { session: { arity: "many", summary: "" } } });
const add = command({
  ...base,
  name: "add",
  operands: { name: { arity: "one", summary: "" }, kind: { arity: "one", completes: ["a", "b"], summary: "" } },
});

const nothing = { force: false, allTheWay: false, env: [], ttl: 60 };

describe("parse() reads options", () => {
  test.each([
    ["", {}],
    ["-f", { force: true }],
    ["--all-the-way", { allTheWay: true }],
    ["-fa", { force: true, allTheWay: true }],
    ["-d /x", { directory: "/x" }],
    ["-d/x", { directory: "/x" }],
    ["-fd /x", { force: true, directory: "/x" }],
    ["-afd/x", { force: true, allTheWay: true, directory: "/x" }],
    ["--directory /x", { directory: "/x" }],
    ["--directory=/x=y", { directory: "/x=y" }],
    ["--directory=", { directory: "" }],
    ["-d -f", { directory: "-f" }],
    ["-d /x --directory /y", { directory: "/y" }],
    ["-e A=1 --env B=2 --env=C=3", { env: ["A=1", "B=2", "C=3"] }],
    ["--network none", { network: "none" }],
    ["--memory 2G --ttl 1h --cpus 1.5", { memory: 2 ** 31, ttl: 3600, cpus: 1.5 }],
  ])("%s", (line, expected) => {
    const parsed = parse(
      run,
      line.split(" ").filter((word) => word !== ""),
    );
    expect(parsed.options).toEqual({ ...nothing, ...expected });
  });

  test("those that every verb has, wherever they stand", () => {
    expect(parse(end, ["-q", "@a", "--json"]).common).toEqual({ json: true, quiet: true, verbose: false });
    expect(parse(end, ["-h"])).toMatchObject({ help: true, operands: {} });
  });

  test("what a declaration gives its types", () => {
    const given: OptionsOf<typeof options> = {
      force: true,
      allTheWay: false,
      directory: undefined,
      env: [],
      network: "none",
      memory: undefined,
      ttl: 60,
      cpus: 1,
    };
    // @ts-expect-error -- a word that isn't in the list
    const wrong: typeof given = { ...given, network: "other" };
    expect(wrong).not.toEqual(given);
  });
});

describe("parse() hands out operands", () => {
  test.each([
    [[], undefined, []],
    [["--"], undefined, []],
    [["--", "ls", "-l", "--", "--json", ""], undefined, ["ls", "-l", "--", "--json", ""]],
    [["bookworm"], "bookworm", []],
    [["bookworm", "-f", "--", "-f"], "bookworm", ["-f"]],
    [["-", "--", "x"], "-", ["x"]],
  ])("run %j", (argv, source, words) => {
    expect(parse(run, argv).operands).toEqual({ source, command: words });
  });

  test("without a command, -- ends the options", () => {
    expect(parse(end, ["@a", "--", "-b"]).operands).toEqual({ session: ["@a", "-b"] });
  });
});

describe("parse() refuses", () => {
  test.each([
    [run, "-d", "-d needs STRING"],
    [run, "--env -- x", "--env needs STRING"],
    [run, "--force=yes", "--force takes no value"],
    [run, "--network lan", "--network is one of host, none, not lan"],
    [run, "--memory lots", "--memory: no size: lots"],
    [end, "", "end needs SESSION"],
    [add, "x", "add needs KIND"],
    [add, "x c", "KIND is one of a, b, not c"],
  ])("%#: %s", (verb, line, message) => {
    expect(() =>
      parse(
        verb,
        line.split(" ").filter((word) => word !== ""),
      ),
    ).toThrow(message);
  });

  test.each([
    [run, "--forec", { kind: "option", name: "--forec", word: "--forec", operands: [] }],
    [run, "-fx", { kind: "option", name: "-x", word: "-fx", operands: [] }],
    [run, "base ls -l", { kind: "option", name: "-l", word: "-l", operands: ["base", "ls"] }],
    [run, "base ls", { kind: "surplus", operands: ["base", "ls"], left: ["ls"] }],
  ])("%#: %s, and leaves the words to say so to others", (verb, line, detail) => {
    try {
      parse(verb, line.split(" "));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(Mistake);
      expect((error as Mistake).detail as unknown).toEqual(detail);
    }
  });
});
