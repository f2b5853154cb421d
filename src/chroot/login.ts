import type { KeyReader } from "./keys.ts";
import {
  BadValue,
  parseAbsolutePath,
  parseAbsolutePaths,
  parseBoolean,
  parseNames,
  parseOneOf,
  type ParseValue,
  unlessEmpty,
} from "./values.ts";

/** Whose logins are sessions of a chroot, and how: the keys `login.…` of its description. */
export interface LoginPolicy {
  readonly users: readonly string[];
  readonly groups: readonly string[];
  /** One session for all logins of a user, or one for each. */
  readonly session: "user" | "login";
  readonly home: "real" | "copy" | "tmpfs";
  /** What becomes of changes at the last logout: they go, or the person is asked what of their home is to be saved. */
  readonly keep: "nothing" | "ask";
  /** Directories of the host's that are the real ones inside, with what is mounted there later. */
  readonly share: readonly string[];
  readonly upper: LoginUpper;
  readonly memoryBytes: number | undefined;
  readonly cpus: number | undefined;
  readonly pids: number | undefined;
  readonly ttlSeconds: number | undefined;
  readonly network: "host" | "none";
  /** Whether the person can be root inside: of what is in the session alone, or with all of root's rights on the machine. */
  readonly sudo: "no" | "yes" | "full";
  readonly onFailure: "deny" | "host";
  /** Whether packages that are installed inside may start their daemons. */
  readonly daemons: boolean;
  /** Undefined: the person's own. */
  readonly shell: string | undefined;
}

export type LoginUpper =
  | { readonly kind: "state" }
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "tmpfs"; readonly sizeBytes?: number };

/** @returns undefined where the chroot is nobody's login */
export function takeLogin(keys: KeyReader): LoginPolicy | undefined {
  const take = <T>(key: string, parse: ParseValue<T>, fallback: T): T => keys.take(`login.${key}`, parse, fallback);
  const optional = <T>(key: string, parse: ParseValue<T>): T | undefined =>
    keys.takeOptional(`login.${key}`, unlessEmpty(parse));
  const policy: LoginPolicy = {
    users: take("users", parseNames, []),
    groups: take("groups", parseNames, []),
    session: take("session", parseOneOf(["user", "login"]), "user"),
    home: take("home", parseOneOf(["real", "copy", "tmpfs"]), "copy"),
    keep: take("keep", parseOneOf(["nothing", "ask"]), "nothing"),
    share: take("share", parseAbsolutePaths, []),
    upper: take("upper", parseUpper, { kind: "state" }),
    memoryBytes: optional("memory", parseMemory),
    cpus: optional("cpus", parseAmount),
    pids: optional("pids", parseCount),
    ttlSeconds: optional("ttl", parseSeconds),
    network: take("network", parseOneOf(["host", "none"]), "host"),
    sudo: take("sudo", parseSudo, "no"),
    onFailure: take("on-failure", parseOneOf(["deny", "host"]), "deny"),
    daemons: take("daemons", parseBoolean, false),
    shell: optional("shell", parseAbsolutePath),
  };
  return policy.users.length + policy.groups.length === 0 ? undefined : policy;
}

const parseSudo: ParseValue<LoginPolicy["sudo"]> = (text) => {
  if (text === "full") return "full";
  return parseBoolean(text) ? "yes" : "no";
};

/** As --upper takes it. */
const parseUpper: ParseValue<LoginUpper> = (text) => {
  if (text === "" || text === "state") return { kind: "state" };
  if (text === "tmpfs") return { kind: "tmpfs" };
  if (text.startsWith("tmpfs:")) return { kind: "tmpfs", sizeBytes: parseBytes(text.slice(6)) };
  if (!text.startsWith("/"))
    throw new BadValue(`${JSON.stringify(text)} isn't state, tmpfs, tmpfs:SIZE or a directory`);
  return { kind: "directory", path: parseAbsolutePath(text) };
};

const units = ["", "K", "M", "G", "T"];

const parseBytes: ParseValue<number> = (text) => {
  const [, number = "0", unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** units.indexOf(unit.toUpperCase()));
  if (bytes < 1) throw new BadValue(`${JSON.stringify(text)} isn't a size, such as 512M or 2G`);
  return bytes;
};

/** With less nobody would get a shell: what starts it counts, too. */
const leastMemory = 16 << 20;

const parseMemory: ParseValue<number> = (text) => {
  const bytes = parseBytes(text);
  if (bytes < leastMemory) throw new BadValue(`${JSON.stringify(text)} is less than a login needs: 16M`);
  return bytes;
};

const parseAmount: ParseValue<number> = (text) => {
  const amount = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (amount <= 0) throw new BadValue(`${JSON.stringify(text)} isn't a number above 0`);
  return amount;
};

const parseCount: ParseValue<number> = (text) => {
  const count = parseAmount(text);
  if (!Number.isInteger(count)) throw new BadValue(`${JSON.stringify(text)} isn't a whole number`);
  return count;
};

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

const parseSeconds: ParseValue<number> = (text) => {
  if (!/^(\d+|(\d+[smhdw])+)$/.test(text))
    throw new BadValue(`${JSON.stringify(text)} isn't a time, such as 12h or 30m`);
  let seconds = 0;
  for (const [, count, unit = ""] of text.matchAll(/(\d+)([smhdw]?)/g))
    seconds += Number(count) * (unitSeconds[unit] ?? 1);
  return seconds;
};
