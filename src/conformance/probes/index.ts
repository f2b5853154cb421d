import type { Probe } from "../probe.ts";
import { appending } from "./appending.ts";
import { busy } from "./busy.ts";
import { copyUp } from "./copyup.ts";
import { direct, shape } from "./data.ts";
import { descriptors } from "./descriptors.ts";
import { handling } from "./handles.ts";
import { hostile } from "./hostile.ts";
import { identity } from "./identity.ts";
import { links } from "./links.ts";
import { locks } from "./locks.ts";
import { mappings } from "./mappings.ts";
import { tmpfile, unlinked } from "./nameless.ts";
import { naming } from "./naming.ts";
import { fanotify, notify } from "./notify.ts";
import { owners } from "./owners.ts";
import { permissions } from "./permissions.ts";
import { allocation, copying, holes } from "./ranges.ts";
import { reading } from "./reading.ts";
import { layered, removal } from "./removal.ts";
import { renaming } from "./rename.ts";
import { space } from "./space.ts";
import { special, whole } from "./special.ts";
import { changedBelow, stacking } from "./stacking.ts";
import { accessTimes, times } from "./times.ts";
import { together } from "./together.ts";

/** All probes, by area. */
export function allProbes(): readonly Probe[] {
  return [
    [identity, links, notify, fanotify, descriptors, mappings, unlinked, locks, busy],
    [tmpfile, appending, direct, allocation, holes, copying, shape],
    [renaming, removal, layered, reading, naming, copyUp, space, permissions, owners],
    [times, accessTimes, special, handling, whole, stacking, together, changedBelow, hostile],
  ].flat(2);
}

export function nameOf({ area, name }: Probe): string {
  return `${area}: ${name}`;
}
