// deadline: 300
// kill -9 at every system call of commit and undo that changes something: files of every kind.
import { afterAll, beforeAll, test } from "bun:test";
import { cleanUp, killCommits, prepare } from "./committed.ts";

beforeAll(() => prepare());
afterAll(cleanUp);

const script =
  "cd /srv; echo more >>changed; rm gone; mv moved here; chmod 600 mode; mkdir -p new/below; echo n >new/below/file; " +
  "ln new/below/file new/link; chmod 700 dir; rm -r dir/sub";

test(
  "a commit and an undo that are killed are whole or not at all: files of every kind",
  () => killCommits(script),
  280_000,
);
