import { dirname } from "node:path";
import { openDirectory } from "../../kernel/file.ts";
import { isAufsBranch } from "../../layer/dialect/aufs.ts";
import { type MountInfo, readMountInfo } from "../../mount/mountinfo.ts";
import { canBuildDetached } from "../../mount/detached.ts";
import { readTree } from "../../mount/retree.ts";
import { mountPointOf } from "../paths.ts";
import { describeProcess, lookInside } from "../processes.ts";
import { isChanged, type Original, placeIn, unionSteps } from "./freeze.ts";

/** overlayfs takes so many. */
const mostLowers = 500;

/** Why what a session has changed can't be frozen, in words that go on "because …"; undefined where it can. */
export function whyNotFrozen({ id, record, layers }: Original): string | undefined {
  if (record.upper.kind === "tmpfs") return "they are kept in memory";
  if (!canBuildDetached()) return "this kernel puts a tree together in its place only (that takes Linux 6.15)";
  for (const { union } of unionSteps(record)) {
    const { upper, lowers, dialect } = union;
    if (dirname(dirname(upper)) !== layers.base) return "union-mount-options say where they are";
    if (lowers.length >= mostLowers) return `there are ${lowers.length} layers already, as many as overlayfs takes`;
    if (dialect === "aufs" || isAufs(upper)) return "they are written in aufs's format";
  }
  return whoIsThere(id) ?? whatIsMounted(id, record);
}

function isAufs(upper: string): boolean {
  using directory = openDirectory(upper);
  return isAufsBranch(directory.number);
}

function whoIsThere(id: string): string | undefined {
  const { inside, standing } = lookInside(mountPointOf(id));
  const [first] = inside;
  const [other] = standing;
  if (first !== undefined) {
    const more = inside.length === 1 ? "" : ` and ${inside.length - 1} more`;
    return `process ${first} (${describeProcess(first).command})${more} runs in the session`;
  }
  if (other === undefined) return undefined;
  return `process ${other} (${describeProcess(other).command}) stands in a directory of the session`;
}

/** Whoever has the session's unions in another place too would go on with the old ones. */
function whatIsMounted(id: string, record: Original["record"]): string | undefined {
  const all = readMountInfo();
  const tree = readTree(mountPointOf(id), all);
  if (tree === undefined || tree.hasOdd) return "something is mounted in the session that can't be taken along";
  const mounts = [tree.root, ...tree.below];
  const unions: MountInfo[] = [];
  for (const { at, union } of unionSteps(record)) {
    if (!isChanged(union.upper)) continue;
    const found = mounts.find(({ mountPoint }) => mountPoint === placeIn(mountPointOf(id), at));
    if (found === undefined || !/^(overlay|fuse\.fallthru)$/.test(found.type))
      return `something else is mounted over the session's ${at}`;
    unions.push(found);
  }
  const other = all.find(({ device, id }) => {
    return unions.some((union) => union.device === device) && !mounts.some((mount) => mount.id === id);
  });
  return other === undefined ? undefined : `a part of the session is mounted on ${other.mountPoint} as well`;
}
