/**
 * Where things are: the machine's own Fallthru, whose every path only the superuser can write to, or a user's, which works
 * in a user name space of theirs (docs/rootless.md). Which of them is decided here, once, and never by the environment alone: a
 * process of the superuser's is a user's only where its first word says so, and then src/session/rootless/inside.ts
 * refuses to go on outside of a user name space.
 */

/**
 * The first word of a command line that goes on inside a user's name spaces. The second is the descriptor by which they are
 * kept, the third the caller's directory.
 */
export const insideWord = "as-user";

/** The second word, of who has no part in keeping them. */
export const nobodysSpace = "-";

/** Whether this process has what the superuser has only inside a user's name spaces. */
export const isInside: boolean =
  // In this order: the first look at import.meta costs a start 0.04 ms.
  process.argv[2] === insideWord && process.geteuid?.() === 0 && import.meta.url.includes("/$bunfs/");

/** Whether this is a user's Fallthru, inside or not. */
export const isUsers: boolean = isInside || (process.geteuid?.() ?? 0) !== 0;

/** Where the superuser's programs are found, and everybody else's, as login(1) and schroot have it. */
export const superuserPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
export const userPath = "/usr/local/bin:/usr/bin:/bin";

interface Places {
  /** What outlives a restart of the machine: sessions and their changes. */
  readonly state: string;
  /** Mounts; empty after a restart. */
  readonly run: string;
  /** The roots that we make. */
  readonly chroots: string;
  /** Descriptions of chroots, as schroot has them. */
  readonly config: string;
}

/** The machine's own, also for who has a Fallthru of their own: it says whose logins are sessions. */
export const machine: Places = {
  state: "/var/lib/fallthru",
  run: "/run/fallthru",
  chroots: "/var/lib/fallthru/chroots",
  config: "/etc/schroot",
};

/** By the XDG Base Directory Specification, which has relative paths passed over. */
function usersPlaces(): Places {
  const base = (variable: string, otherwise: string) => {
    const path = process.env[variable] ?? "";
    return `${path.startsWith("/") ? path : `${homeDirectory()}/${otherwise}`}/fallthru`;
  };
  const state = base("XDG_STATE_HOME", ".local/state");
  const data = base("XDG_DATA_HOME", ".local/share");
  return { state, run: `${state}/run`, chroots: `${data}/chroots`, config: base("XDG_CONFIG_HOME", ".config") };
}

/** The user's; inside it is always in the environment, as the user database has another there. */
export function homeDirectory(): string {
  const home = process.env["HOME"] ?? "";
  if (home.startsWith("/")) return home;
  const uid = String(process.getuid?.());
  const lines = process.getBuiltinModule("node:fs").readFileSync("/etc/passwd", "utf8").split("\n");
  return lines.map((line) => line.split(":")).find((fields) => fields[2] === uid)?.[5] ?? "/";
}

export const places: Places = isUsers ? usersPlaces() : machine;
