import { UserError } from "../error.ts";
import { type HostPlan, planHost } from "../mount/host.ts";
import { planUsersHost } from "../mount/host-user.ts";
import { readMountInfo } from "../mount/mountinfo.ts";
import { isInside, machine } from "../places.ts";
import { runDir, sessionsDir } from "./paths.ts";
import type { MakeUnion } from "./plan.ts";

/** The steps for a view of this machine's own root, `extra` laid over it. @param without see planHost() */
export type PlanView = (makeUnion: MakeUnion, extra: readonly string[], without?: readonly string[]) => HostPlan;

export const planView: PlanView = (makeUnion, extra, without) => {
  if (isInside) return planUsersView(makeUnion, extra);
  return planHost((lower) => makeUnion(lower === "/" ? [...extra, lower] : [lower]), without);
};

function planUsersView(makeUnion: MakeUnion, extra: readonly string[]): HostPlan {
  if (extra.length > 0) {
    throw new UserError("unsupported", "--lower on this machine's own root needs root", {
      hint: "it can be given for a chroot, or shown with --bind",
    });
  }
  const written = [process.env["HOME"], process.env["XDG_RUNTIME_DIR"], process.cwd(), "/var/tmp"];
  const mounts = readMountInfo();
  // Where the superuser's sessions are: a copy of their mounts would keep them.
  const others = mounts.filter(({ mountPoint }) => mountPoint === machine.run).map(({ mountPoint }) => mountPoint);
  const places = {
    hidden: [runDir, sessionsDir, ...others],
    written: [...new Set(written.filter((path) => path !== undefined))],
  };
  return planUsersHost(mounts, places, {
    root: (skeleton) => makeUnion([], skeleton),
    over: (lower) => makeUnion([lower]),
  });
}
