// deadline: 300
// kill -9 at every system call of commit and undo that changes something: a renamed directory.
import { afterAll, beforeAll, test } from "bun:test";
import { cleanUp, killCommits, prepare } from "./committed.ts";

beforeAll(() => prepare());
afterAll(cleanUp);

const script = "cd /srv; echo more >>changed; mv dir other; rm other/file; echo n >other/new; mkdir dir";

test(
  "a commit and an undo that are killed are whole or not at all: a renamed directory",
  () => killCommits(script),
  280_000,
);
