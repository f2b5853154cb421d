import { expect, test } from "bun:test";
import { temporaryDirectory } from "../../../test/support/directories.ts";
import { lock, openDirectory, readAvailable } from "../../kernel/file.ts";
import { makePipe } from "../../kernel/self.ts";
import { letGoBehind } from "./letgo.ts";

test("letGoBehind() leaves it to a process, which holds what was frozen until it has let go", () => {
  const frozen = temporaryDirectory();
  const [reading, writing] = makePipe();
  using end = reading;
  letGoBehind(writing, frozen);
  expect(() => writing.number).toThrow(/closed/);
  using layers = openDirectory(frozen);
  lock(layers, "exclusive");
  // Comes to its end when the last one lets go of what writes into it.
  expect(readAvailable(end)).toHaveLength(0);
});
