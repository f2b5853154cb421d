import { E } from "../../kernel/abi/errno.ts";
import { S } from "../../kernel/abi/file.ts";
import type { Name } from "../../kernel/at.ts";
import type { Attr } from "../../kernel/file.ts";
import { attributeName, getXattr } from "../../kernel/io.ts";
import { openDirectoryAt } from "./below.ts";
import { directoryOf, nameOf } from "./names.ts";
import type { Change, UnionTrees } from "./types.ts";

/** Who runs what lies at a path, by patterns of absolute paths, later and without being asked. */
const runners: readonly (readonly [what: string, pattern: RegExp])[] = [
  ["cron", /^\/etc\/(cron\.[a-z]+\/|crontab$|anacrontab$)|^\/var\/spool\/(cron|at)\//],
  ["systemd", /\/systemd\/(system|user|system-generators|user-generators|system-sleep|system-shutdown)\//],
  ["systemd", /^\/(etc|usr\/lib|usr\/local\/lib|run)\/(tmpfiles|sysusers|binfmt|environment|modules-load)\.d\//],
  ["shell", /^\/etc\/(profile|profile\.d\/|bash\.bashrc|environment$|zsh\/|csh\.|fish\/|inputrc$|skel\/)/],
  ["shell", /\/\.(bashrc|bash_profile|bash_login|bash_logout|profile|bash_aliases|kshrc|mkshrc|inputrc)$/],
  ["shell", /\/\.(zshrc|zshenv|zprofile|zlogin|zlogout|cshrc|tcshrc|login|logout)$|\/\.config\/fish\//],
  ["git", /\.git\/(hooks\/|config$|config\.worktree$)|\/\.gitconfig$|\/\.config\/git\/|^\/etc\/gitconfig$/],
  ["ssh", /\/authorized_keys2?$|\/\.ssh\/(rc|config|environment)$|^\/etc\/ssh\/(sshrc|sshd?_config)/],
  ["sudo", /^\/etc\/(sudoers|sudo\.conf$|doas\.conf$)/],
  ["polkit", /^\/(etc|usr\/share|usr\/local\/share)\/polkit-1\//],
  ["loader", /^\/etc\/ld\.so\.(preload|conf|cache)/],
  ["apt", /^\/etc\/apt\/(apt\.conf|preferences|sources\.list|trusted\.gpg|auth\.conf)|^\/etc\/dpkg\/dpkg\.cfg/],
  ["pam", /^\/etc\/(pam\.d\/|pam\.conf$|security\/)|\/security\/pam_[^/]*\.so$/],
  ["init", /^\/etc\/(init\.d\/|rc[\dS]?\.d\/|rc\.local$|inittab$|init\/)/],
  ["udev", /^\/(etc|lib|usr\/lib|run)\/udev\/(rules\.d|hwdb\.d)\//],
  [
    "autostart",
    /^\/etc\/(xdg\/autostart\/|X11\/(Xsession\.d|xinit)\/)|\/\.config\/(autostart|plasma-workspace\/env)\//,
  ],
  ["autostart", /\/\.(xprofile|xinitrc|xsession|xsessionrc)$/],
  ["dbus", /\/dbus-1\/(system|user|session)[^/]*\//],
  ["modules", /^\/(etc|lib|usr\/lib|run)\/modprobe\.d\/|^\/etc\/modules$/],
  ["network", /^\/etc\/(network\/if-[^/]*\.d|NetworkManager\/dispatcher\.d|dhcp\/dhclient-[^/]*\.d|ppp\/ip[^/]*\.d)\//],
  ["logrotate", /^\/etc\/logrotate\.(d\/|conf$)/],
  ["login", /^\/etc\/(update-motd\.d\/|login\.defs$|ssh\/sshrc$)/],
  ["boot", /^\/(boot\/|etc\/(grub\.d|kernel|initramfs-tools|default\/grub))/],
  ["python", /\/python[\d.]*\/(site|dist)-packages\/([^/]*\.pth|(site|user)customize\.py)$/],
];

/** Of most files all that is asked. */
const any = new RegExp(runners.map(([, { source }]) => source).join("|"));

/**
 * What of a change runs later without anybody's asking for it, in a word: `cron`, `setuid`; undefined where nothing does.
 * @param path absolute, in the session
 */
export function runsLater(tree: UnionTrees, change: Change, path: Name): string | undefined {
  if (change.kind === "deleted") return undefined;
  const { after } = change;
  const type = after.mode & S.IFMT;
  if (type === S.IFDIR) return undefined;
  if (type === S.IFREG && isElevating(change)) return (after.mode & S.ISUID) === 0 ? "setgid" : "setuid";
  if (type === S.IFREG && (after.mode & 0o111) !== 0 && hasNewCapability(tree, change)) return "capability";
  if (!any.test(path)) return undefined;
  for (const [what, pattern] of runners) if (pattern.test(path)) return what;
  return undefined;
}

/** Runs as its owner or group, and that, or what runs, is new. */
function isElevating(change: Exclude<Change, { kind: "deleted" }>): boolean {
  const isExecutable = (after: Attr): boolean =>
    (after.mode & S.ISUID) !== 0 || ((after.mode & S.ISGID) !== 0 && (after.mode & 0o010) !== 0);
  return isExecutable(change.after) && isNew(change, ["content", "mode", "owner"]);
}

const capability = attributeName("security.capability");

function hasNewCapability({ after }: UnionTrees, change: Exclude<Change, { kind: "deleted" }>): boolean {
  if (!isNew(change, ["content", "xattr:security.capability"])) return false;
  using directory = openDirectoryAt(after, directoryOf(change.path));
  if (directory === undefined) return false;
  const length = getXattr(directory.number, nameOf(change.path), capability, new Uint8Array(0));
  // Whatever keeps us from knowing that there is none, as a file system that has none.
  return length > 0 && length !== -E.NODATA;
}

function isNew(change: Exclude<Change, { kind: "deleted" }>, which: readonly string[]): boolean {
  if (change.kind === "added" || change.kind === "type") return true;
  return change.aspects.some((aspect) => which.includes(aspect));
}
