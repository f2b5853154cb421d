// deadline: 300
// kill -9 at every system call of commit and undo that changes something: on the union mount, which is made to copy contents up
// that are still below, and has to keep capabilities and times.
import { afterAll, beforeAll, test } from "bun:test";
import { cleanUp, killCommits, prepare } from "./committed.ts";

beforeAll(() => prepare("fallthru"));
afterAll(cleanUp);

const script =
  "cd /srv; mv able moved-able; chmod 700 abler; touch -d @1000000000 mode; mv moved here; echo more >>changed";

test(
  "a commit and an undo that are killed are whole or not at all, and the session is as it was: on the union mount",
  () => killCommits(script),
  280_000,
);
