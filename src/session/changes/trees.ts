import { UserError } from "../../error.ts";
import { O, RESOLVE } from "../../kernel/abi/file.ts";
import type { Fd } from "../../kernel/fd.ts";
import { findAt, openAt, openDirectory, readDirectory, statAt } from "../../kernel/file.ts";
import { cloneMount } from "../../kernel/mount.ts";
import { openLayerRoot } from "../../layer/layer.ts";
import { mountLowers, upperDialect } from "../../mount/lowers.ts";
import { splitLowers, type UnionStep } from "../../mount/plan.ts";
import { flushUnions } from "../flush.ts";
import { mountPointOf } from "../paths.ts";
import type { SessionRecord } from "../record.ts";
import { atTheirPlaces, lockRoots } from "../roots.ts";
import { isSessionMounted } from "../state.ts";
import type { UnionTrees } from "./types.ts";

/**
 * Opens both sides of all unions of a session, in the plan's order; closed together.
 * @throws {UserError} failed: it isn't mounted; unsupported: it changes its root itself
 */
export function openTrees(noted: Pick<SessionRecord, "id" | "plan" | "roots" | "begun">): UnionTrees[] & Disposable {
  const steps = noted.plan.steps.filter((step) => step.kind === "union");
  if (steps.length === 0) {
    throw new UserError(
      "unsupported",
      `session ${noted.id} has no union: what it changes, it changes in its root itself`,
      {
        hint: "a root that is unpacked or a snapshot is compared with its source by other means",
      },
    );
  }
  if (!isSessionMounted(noted.id)) {
    throw new UserError("failed", `session ${noted.id} isn't mounted: its changes can't be read`, {
      hint: "mount it again: fallthru recover",
    });
  }
  flushUnions(noted);
  using _ = lockRoots("shared");
  using opened = new DisposableStack();
  using root = openDirectory(mountPointOf(noted.id));
  const unions = atTheirPlaces(noted).plan.steps.filter((step) => step.kind === "union");
  const trees = unions.flatMap((step, index) =>
    isGone(noted.id, step) ? [] : [opened.use(openUnionTrees(step, root, noted.begun?.[index]))],
  );
  const all = opened.move();
  return Object.assign(trees, { [Symbol.dispose]: () => all.dispose() });
}

/**
 * Whether somebody has deleted the directory that a union lies over, as those of a view of the machine's own root may be.
 * @throws {UserError} failed: the session has changed something in it
 */
function isGone(id: string, { union }: UnionStep): boolean {
  const lower = splitLowers(union).base.find((path) => findAt(null, path) === undefined);
  if (lower === undefined) return false;
  using upper = openDirectory(union.upper);
  for (const _ of readDirectory(upper))
    throw new UserError("failed", `${lower} isn't there any more, in which session ${id} has changed something`, {
      hint: `make it again: mkdir ${lower}`,
    });
  return true;
}

export function openUnionTrees({ at, union }: UnionStep, root: Fd, begun: UnionTrees["begun"] = {}): UnionTrees {
  using undo = new DisposableStack();
  const { own, base } = splitLowers(union);
  const lowers = base.map((lower) => undo.use(openLayerRoot(lower, "noatime")));
  const frozen = own.map((layer) => undo.use(openLayerRoot(layer, "noatime")));
  const upper = undo.use(openLayerRoot(union.upper, "noatime"));
  const dialect = upperDialect(union, upper);
  const merged = mountLowers({ ...union, lowers: base }, lowers, dialect);
  const before = merged === undefined ? lowers[0] : undo.use(merged);
  if (before === undefined) throw new UserError("data", `the union at ${at} has no lower`);
  const after = undo.use(openMerged(root, at));
  const target = base.at(-1) ?? "";
  const opened = undo.move();
  const close = (): void => opened.dispose();
  const isBeforeRaw = merged === undefined;
  return {
    at,
    before,
    after,
    target,
    union,
    upper,
    dialect,
    frozen,
    lowers,
    begun,
    isBeforeRaw,
    [Symbol.dispose]: close,
  };
}

/** The session's own union, on a copy of its mount without what is mounted below. */
function openMerged(root: Fd, at: string): Fd {
  using place = openAt(root, at, O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
  if (!statAt(place).isMountRoot) throw new UserError("failed", `nothing is mounted at ${at} in the session`);
  using mount = cloneMount(place, "");
  return openAt(mount, ".", O.RDONLY | O.DIRECTORY);
}
