import { totalmem } from "node:os";
import type { Login } from "./find.ts";
import type { Resident } from "./enter.ts";
import { groupNameOf } from "../../session/accounts.ts";
import { randomHex } from "../../session/id.ts";
import { copyResolver, resolverDir, resolverName } from "../../session/resolver.ts";
import type { ExtraFiles, ExtraMount, SessionOptions, SetupUser } from "../../session/types.ts";

/** Where a session shows single things of the host's, out of the way of its own. */
export const hostPlace = "/run/host";
const resolverPlace = `${hostPlace}/resolv`;

/** The session that a person's login is. */
export function loginSession(
  login: Login,
  caller: Resident,
  shells: readonly string[],
): SessionOptions & { readonly name: string } {
  const { policy } = login;
  const { memoryBytes, cpus, pids, ttlSeconds } = policy;
  const hasResolver = policy.network === "host" && copyResolver();
  const own = `${login.chroot.name.slice(0, 90)}-login-${caller.uid}`;
  return {
    name: policy.session === "user" ? own : `${own}-${randomHex()}`,
    upper: policy.upper,
    network: policy.network,
    limits: {
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      ...(cpus === undefined ? {} : { cpus }),
      ...(pids === undefined ? {} : { pids }),
    },
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(policy.sudo === "no" ? { noSuid: true } : {}),
    // Everybody else who is logged in has a file system there, with sockets that are nobody else's business.
    ...(isHostView(login) ? { isHost: true, without: ["/run/user"] } : {}),
    mounts: mountsOf(login, caller, hasResolver),
    files: filesOf(login, caller, { shells, hasResolver }),
    setup: { user: setupUserOf(caller) },
  };
}

/** Whom an administrator's setup scripts are told of. */
function setupUserOf(caller: Resident): SetupUser {
  const { name, uid, gid, home, shell, groupName } = caller;
  return { name, uid, gid, home, shell, callerName: name, callerUid: uid, callerGid: gid, callerGroup: groupName };
}

/** Whether it is this machine's own root: a view of it then, with what is mounted below it. */
function isHostView({ chroot }: Login): boolean {
  return chroot.type === "directory" && chroot.directory === "/";
}

/** What the login needs of the host is there before what the administrator shares, which may lie in it. */
function mountsOf(login: Login, caller: Resident, hasResolver: boolean): ExtraMount[] {
  const { policy } = login;
  const share = (path: string, readOnly: boolean): ExtraMount => ({ kind: "share", from: path, at: path, readOnly });
  const { uid } = caller;
  return [
    ...homeOf(login, caller),
    { kind: "empty", at: runtimeOf(caller), uid, gid: caller.gid, sizeBytes: runtimeBytes() },
    ...systemdOf(policy).map((path) => share(path, true)),
    share("/run/utmp", true),
    share("/tmp/.X11-unix", true),
    ...(hasResolver ? [{ ...share(resolverDir, true), at: resolverPlace }] : []),
    ...policy.share.map((path) => share(path, false)),
  ];
}

/**
 * Who is logged in, to whom logind and the journal are to talk. Root inside isn't to reach who takes orders from root (systemd's
 * `private` and its like).
 */
function systemdOf({ sudo }: Login["policy"]): string[] {
  const all = "/run/systemd";
  return sudo === "yes" ? ["journal", "seats", "sessions", "users"].map((name) => `${all}/${name}`) : [all];
}

/** What XDG_RUNTIME_DIR is where logind runs: the session's own inside, see showOwn(). */
export function runtimeOf({ uid }: Pick<Resident, "uid">): string {
  return `/run/user/${uid}`;
}

/** As logind has it. @see logind.conf(5), RuntimeDirectorySize= */
function runtimeBytes(): number {
  return Math.floor(totalmem() / 10);
}

function homeOf(login: Login, { home, uid, gid }: Resident): ExtraMount[] {
  // A person without a home lives in the root directory, as login(1) has it.
  if (home === "/" || !home.startsWith("/")) return [];
  const { policy } = login;
  switch (policy.home) {
    case "real":
      return [{ kind: "share", from: home, at: home, readOnly: false }];
    case "copy":
      return isHostView(login) ? [] : [{ kind: "copy", at: home }];
    case "tmpfs": {
      const sizeBytes = policy.upper.kind === "tmpfs" ? policy.upper.sizeBytes : undefined;
      return [{ kind: "empty", at: home, uid, gid, sizeBytes }];
    }
  }
}

function filesOf(
  { policy }: Login,
  caller: Resident,
  { shells, hasResolver }: { shells: readonly string[]; hasResolver: boolean },
): ExtraFiles {
  const { name, uid, gid, home } = caller;
  const gids = [...new Set([gid, ...caller.groups])];
  return {
    account: { name, uid, gid, home, shells, groups: gids.map((each) => ({ name: groupNameOf(each), gid: each })) },
    written: [
      ...(policy.daemons ? [] : [{ path: "/usr/sbin/policy-rc.d", text: "#!/bin/sh\nexit 101\n", mode: 0o755 }]),
      ...(policy.sudo !== "no"
        ? [{ path: "/etc/sudoers.d/fallthru-login", text: `#${uid} ALL=(ALL:ALL) NOPASSWD: ALL\n`, mode: 0o440 }]
        : []),
    ],
    links: hasResolver ? [{ path: "/etc/resolv.conf", target: `${resolverPlace}/${resolverName}` }] : [],
  };
}
