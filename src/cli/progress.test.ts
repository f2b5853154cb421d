import { describe, expect, test } from "bun:test";
import { type Place, showProgress } from "./progress.ts";

function place(kind: Place["kind"], columns = 80) {
  const clock = { ms: 0 };
  const written: string[] = [];
  return { clock, written, kind, columns, nowMs: () => clock.ms, write: (text: string) => void written.push(text) };
}

describe("showProgress() on a terminal", () => {
  test("draws a bar over the last one, and takes it away", () => {
    const at = place("terminal", 40);
    const view = showProgress("shown", at);
    view.show("unpack", 0);
    at.clock.ms = 1000;
    view.show("unpack", 0.5);
    view.show("unpack", 0.51); // too soon
    view.end();
    expect(at.written).toEqual([
      "\r\u001b[K[-------------------------]   0% unpack",
      "\r\u001b[K[#############------------]  50% unpack",
      "\r\u001b[K",
    ]);
  });

  test("never fills the line", () => {
    for (const columns of [5, 10, 20, 200]) {
      const at = place("terminal", columns);
      showProgress("shown", at).show("fetch the lists of packages", 1.5);
      expect(at.written[0]?.length).toBeLessThan(columns + "\r\u001b[K".length);
    }
  });

  test("a line that stays is put in the bar's place", () => {
    const at = place("terminal");
    const view = showProgress("shown", at);
    view.show("unpack");
    view.line("warning: a\u001b[2Jb");
    expect(at.written).toEqual(["\r\u001b[Kunpack ...", "\r\u001b[Kfallthru: warning: a\\x1b[2Jb\n"]);
  });
});

describe("showProgress() elsewhere", () => {
  test("prints a line for each step, and one now and then", () => {
    const at = place("file");
    const view = showProgress("shown", at);
    view.show("unpack", 0);
    view.show("unpack", 0.1);
    at.clock.ms = 10_000;
    view.show("unpack", 0.2);
    view.show("sync", 0.9);
    view.end();
    expect(at.written).toEqual(["fallthru: unpack\n", "fallthru: unpack: 20%\n", "fallthru: sync\n"]);
  });

  test("is quiet if asked, but for what stays", () => {
    const at = place("terminal");
    const view = showProgress("quiet", at);
    view.show("unpack", 0);
    view.line("warning: x");
    view.end();
    expect(at.written).toEqual(["fallthru: warning: x\n"]);
  });
});
