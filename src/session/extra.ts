import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt } from "../kernel/file.ts";
import type { PlanStep } from "../mount/plan.ts";
import type { MakeUnion } from "./plan.ts";
import type { ExtraMount } from "./types.ts";

/** The steps for what a front end wants in a session; what the host doesn't have is left out. */
export function extraSteps(mounts: readonly ExtraMount[], makeUnion: MakeUnion): PlanStep[] {
  return mounts.flatMap((mount) => {
    if (mount.kind !== "empty" && !isOnHost(mount.kind === "share" ? mount.from : mount.at)) return [];
    return [extraStep(mount, makeUnion)];
  });
}

function extraStep(mount: ExtraMount, makeUnion: MakeUnion): PlanStep {
  const { RDONLY, NOSUID, NODEV } = MOUNT_ATTR;
  switch (mount.kind) {
    case "share": {
      const attributes = mount.readOnly ? RDONLY : 0;
      return { kind: "bind", at: mount.at, from: mount.from, depth: "recursive", attributes, follows: true };
    }
    case "copy":
      return {
        kind: "union",
        at: mount.at,
        union: makeUnion([mount.at]),
        attributes: NOSUID | NODEV,
        orReadOnly: true,
      };
    case "empty": {
      const { uid, gid, sizeBytes } = mount;
      const size = sizeBytes === undefined ? [] : [`size=${sizeBytes}`];
      const options = ["mode=0700", `uid=${uid}`, `gid=${gid}`, ...size];
      return { kind: "filesystem", at: mount.at, type: "tmpfs", source: "tmpfs", options, attributes: NOSUID | NODEV };
    }
  }
}

function isOnHost(path: string): boolean {
  const opened = unless(["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENOTCONN", "ESTALE", "EIO"], () =>
    openAt(null, path, O.PATH),
  );
  opened?.close();
  return opened !== undefined;
}

/** The same steps, with nothing in them that gives more rights than its caller has. */
export function withoutSuid(steps: readonly PlanStep[]): PlanStep[] {
  return steps.map((step) =>
    step.kind === "copy" ? step : { ...step, attributes: step.attributes | MOUNT_ATTR.NOSUID },
  );
}
