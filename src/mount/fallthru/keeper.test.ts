import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { closeFd } from "../../kernel/at.ts";
import { makeSocketPair } from "../../kernel/pass.ts";
import { Keeper } from "./keeper.ts";

/** What waits, by nodeid, as the next server finds it. */
function restored(keeper: Keeper): Record<number, string> {
  const found: Record<number, string> = {};
  for (const [nodeid, { fd, isLower }] of keeper.restore()) {
    found[nodeid] = `${fs.readlinkSync(`/proc/self/fd/${fd}`)}${isLower ? ", lower" : ""}`;
    closeFd(fd);
  }
  return found;
}

test("Keeper keeps what isn't dropped, in whatever order it is", () => {
  const files: Readonly<Record<number, string>> = { 5: "/dev/null", 6: "/dev/zero", 7: "/dev/full", 8: "/proc/self" };
  for (const dropped of [[], [5], [8], [6, 5], [7, 8, 5], [8, 7, 6, 5], [99, 6]]) {
    const [into, outOf] = makeSocketPair();
    using ends = new DisposableStack();
    ends.use(into);
    ends.use(outOf);
    const keeper = new Keeper(into, outOf);
    for (const [nodeid, path] of Object.entries(files)) {
      const fd = fs.openSync(path, "r");
      keeper.keep(Number(nodeid), { fd, isLower: nodeid === "7" });
      fs.closeSync(fd);
    }
    for (const nodeid of dropped) keeper.drop(nodeid);
    const left = Object.entries(files).filter(([nodeid]) => !dropped.includes(Number(nodeid)));
    const expected = left.map(([nodeid, path]) => [
      nodeid,
      `${fs.realpathSync(path)}${nodeid === "7" ? ", lower" : ""}`,
    ]);
    expect(restored(new Keeper(into, outOf))).toEqual(Object.fromEntries(expected));
    expect(restored(new Keeper(into, outOf))).toEqual(Object.fromEntries(expected));
  }
});
