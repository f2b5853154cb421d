// deadline: 300
// A full disk and a used up quota at every system call of commit and undo that takes space.
import { afterAll, beforeAll, test } from "bun:test";
import { cleanUp, fillCommits, prepare } from "./committed.ts";

beforeAll(() => prepare());
afterAll(cleanUp);

const script =
  "cd /srv; echo more >>changed; rm gone; mv moved here; chmod 600 mode; mkdir -p new/below; echo n >new/below/file; " +
  "ln new/below/file new/link; chmod 700 dir; rm -r dir/sub";

test("a commit and an undo that meet a full disk say which, and change nothing", () => fillCommits(script));
