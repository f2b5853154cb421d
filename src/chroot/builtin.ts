import { isUsers } from "../places.ts";
import { writeNewFile } from "./create.ts";

/** The three files of a profile, as texts. */
export interface ProfileText {
  readonly fstab: string;
  readonly copyfiles: string;
  readonly nssdatabases: string;
}

/** The profile of the chroots that we describe, below /etc/schroot and as its `profile=`. */
export const builtinName = "fallthru";

const profileFiles = `# The host's files that Fallthru's sessions have a copy of.
#
# <source-and-destination>[ <destination>]
/etc/resolv.conf
/etc/hosts
`;

/**
 * The built-in profile in schroot's own formats, so that schroot too can use our chroots once installProfile() has
 * written them. /sys is read-only, as its files are the host's devices.
 */
export function profileText(): ProfileText {
  if (isUsers) return usersProfileText();
  return {
    fstab: `# What Fallthru's sessions have mounted: see fstab(5); the mount points are inside the chroot.
#
# <file system> <mount point>   <type>  <options>                       <dump>  <pass>
proc            /proc           proc    nosuid,nodev,noexec             0       0
sysfs           /sys            sysfs   ro,nosuid,nodev,noexec          0       0
/dev/pts        /dev/pts        none    rw,bind                         0       0
tmpfs           /dev/shm        tmpfs   nosuid,nodev,mode=1777          0       0
`,
    copyfiles: profileFiles,
    nssdatabases: `# The host's databases whose entries Fallthru's sessions have, beside those of the chroot.
# For Fallthru, "replace" behind a name drops the chroot's own; schroot always drops them, and knows no second word.
#
# <database name>
passwd
shadow
group
gshadow
`,
  };
}

/**
 * Without root the kernel mounts no /proc and /sys, and shows the machine's only with all that is mounted below them; and a
 * root has no devices of its own. The machine's accounts mean nothing inside: a user's files are the superuser's there.
 */
function usersProfileText(): ProfileText {
  return {
    fstab: `# What Fallthru's sessions have mounted: see fstab(5); the mount points are inside the chroot.
#
# <file system> <mount point>   <type>  <options>                       <dump>  <pass>
/proc           /proc           none    rw,rbind,nosuid,nodev,noexec    0       0
/sys            /sys            none    ro,rbind,nosuid,nodev,noexec    0       0
/dev            /dev            none    rw,rbind                        0       0
tmpfs           /dev/shm        tmpfs   nosuid,nodev,mode=1777          0       0
`,
    copyfiles: profileFiles,
    nssdatabases: `# The host's databases whose entries Fallthru's sessions have: none.
#
# <database name>
`,
  };
}

/** Writes those files of the built-in profile that are missing below `directory`. */
export function installProfile(directory: string): void {
  const texts = profileText();
  const profile = `${directory}/${builtinName}`;
  writeNewFile(profile, "fstab", texts.fstab);
  writeNewFile(profile, "copyfiles", texts.copyfiles);
  writeNewFile(profile, "nssdatabases", texts.nssdatabases);
}
