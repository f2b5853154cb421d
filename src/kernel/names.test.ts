import { expect, test } from "bun:test";
import { basename, dirname } from "node:path";
import { nameOf, parentOf } from "./names.ts";

test("parentOf() and nameOf() say of every path what node:path says", () => {
  const parts = ["", "/", "//", "a", "bc", ".", "..", "é"];
  for (const one of parts)
    for (const two of parts)
      for (const three of parts)
        for (const four of parts) {
          const path = `${one}${two}${three}${four}`;
          expect([path, parentOf(path), nameOf(path)]).toEqual([path, dirname(path), basename(path)]);
        }
});
