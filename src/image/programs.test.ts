import { expect, test } from "bun:test";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { openDirectory } from "../kernel/file.ts";
import { parseSources } from "./apt/sources.ts";
import { debootstrap, mmdebstrap, type Selection } from "./programs.ts";

const sourcesText =
  "deb [signed-by=/k.gpg] https://a.example bookworm main contrib\ndeb https://s.example bookworm-security main\n";
const selection: Selection = {
  suite: "bookworm",
  variant: "minbase",
  packages: ["less", "git"],
  sources: parseSources(sourcesText),
  sourcesText,
};

const path = temporaryDirectory("root");

test("mmdebstrap() has all sources as its input", () => {
  using root = openDirectory(path);
  const { args, input } = mmdebstrap(selection, root);
  expect(input).toBe(sourcesText);
  expect(args.slice(-3)).toEqual(["bookworm", path, "-"]);
  expect(args).toContain("--include=less,git");
  expect(args).toContain("--variant=minbase");
});

test("debootstrap() takes the one archive that has the suite, and always checks its signature", () => {
  using root = openDirectory(path);
  const { args } = debootstrap(selection, root);
  expect(args).toEqual([
    "--variant=minbase",
    "--force-check-gpg",
    "--components=main,contrib",
    "--keyring=/k.gpg",
    "--include=less,git",
    "bookworm",
    path,
    "https://a.example",
  ]);
  expect(debootstrap({ ...selection, variant: "important", packages: [] }, root).args[0]).toBe("--force-check-gpg");
  expect(() => debootstrap({ ...selection, variant: "standard" }, root)).toThrow("debootstrap has no variant standard");
  expect(() => debootstrap({ ...selection, suite: "sid" }, root)).toThrow("the apt sources have no suite sid");
});
