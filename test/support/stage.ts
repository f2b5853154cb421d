import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { Fd } from "../../src/kernel/fd.ts";
import { openDirectory } from "../../src/kernel/file.ts";
import { cloneMount, detachMount } from "../../src/kernel/mount.ts";
import { attachSteps } from "../../src/mount/attach.ts";
import { makeOurs } from "../../src/mount/fallthru/step.ts";
import type { Union } from "../../src/mount/plan.ts";
import { openUnionTrees } from "../../src/session/changes/trees.ts";
import type { UnionTrees } from "../../src/session/changes/types.ts";
import { temporaryDirectory } from "./directories.ts";

/** A union over lowers that `prepare` fills, mounted; its trees are looked at while it is. */
export class Stage implements Disposable {
  readonly base = mkdtempSync(join(temporaryDirectory("changes"), "stage-"));
  union: Union;
  readonly merged = join(this.base, "place/merged");

  constructor(
    type: Union["type"],
    lowers: number,
    prepare: (lower: string, index: number) => void,
    more: Partial<Union> = {},
  ) {
    const path = (name: string): string => {
      const made = join(this.base, name);
      mkdirSync(made, { recursive: true });
      return made;
    };
    const names = Array.from({ length: lowers }, (_, index) => path(`lower${index}`));
    for (const [index, name] of names.entries()) prepare(name, index);
    mkdirSync(this.merged, { recursive: true });
    this.union = { type, lowers: names, upper: path("upper"), work: path("work"), volatile: false, ...more };
    this.#attach();
  }

  /** What was changed until now lies below a new upper, as after a fork. */
  freeze(): void {
    detachMount(this.merged);
    const { lowers, upper, frozen = 0 } = this.union;
    const [next, work] = [join(this.base, `upper${frozen}`), join(this.base, `work${frozen}`)];
    for (const path of [next, work]) mkdirSync(path);
    this.union = { ...this.union, lowers: [upper, ...lowers], frozen: frozen + 1, upper: next, work };
    this.#attach();
  }

  #attach(): void {
    using place = openDirectory(join(this.base, "place"));
    attachSteps(place, [{ kind: "union", at: "/merged", union: this.union, attributes: 0 }], makeOurs);
  }

  trees(): UnionTrees {
    using root: Fd = cloneMount(null, this.merged);
    return openUnionTrees({ kind: "union", at: "/", union: this.union, attributes: 0 }, root);
  }

  [Symbol.dispose](): void {
    detachMount(this.merged);
    execFileSync("rm", ["-rf", this.base]);
  }
}
