import { expect, test } from "bun:test";
import { localDescription } from "./locale.ts";

const translations = {
  fr: "français",
  fr_CA: "canadien",
  "de@euro": "euro",
  de: "deutsch",
  "en_GB.UTF-8": "exactly",
};

for (const [environment, expected] of [
  [{}, "default"],
  [{ LANG: "C.UTF-8" }, "default"],
  [{ LANG: "fr_FR.UTF-8" }, "français"],
  [{ LANG: "fr_CA.UTF-8" }, "canadien"],
  [{ LANG: "fr" }, "français"],
  [{ LC_MESSAGES: "de_AT@euro", LANG: "fr_FR" }, "euro"],
  [{ LC_ALL: "C", LANG: "fr_FR" }, "default"],
  [{ LC_ALL: "", LANG: "de_DE.UTF-8" }, "deutsch"],
  [{ LANG: "en_GB.UTF-8" }, "exactly"],
  [{ LANG: "en_GB" }, "default"],
  [{ LANG: "constructor" }, "default"],
] as const) {
  test(`localDescription() with ${JSON.stringify(environment)}`, () => {
    expect(localDescription({ description: "default", translations }, environment)).toBe(expected);
  });
}
