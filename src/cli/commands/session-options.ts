import { resolve } from "node:path";
import { UserError } from "../../error.ts";
import type { Bind, Limits, SessionOptions, Upper } from "../../session/types.ts";
import type { OptionSpec, OptionsOf } from "../command.ts";
import { parseSize } from "../values.ts";

/** The options that a session has from its beginning, for `begin` and for `run` without a session. */
export const sessionOptionSpecs = {
  name: { type: "string", short: "n", placeholder: "NAME", summary: "the session's id; without it one is made" },
  bind: {
    type: "strings",
    short: "b",
    placeholder: "HOST[:INSIDE[:ro]]",
    completes: "file",
    summary: "show a file or directory of the host's; changes to it are real",
  },
  network: {
    type: "string",
    completes: ["host", "none"],
    summary: "the host's network, or only a loopback of its own",
  },
  hostname: { type: "string", placeholder: "NAME", summary: "what the session takes the machine's name to be" },
  memory: { type: "size", summary: "the most memory that its processes may use together: 512M, 2G" },
  cpus: { type: "number", summary: "how many cores' worth of time they may use: 1.5" },
  pids: { type: "number", summary: "how many of them there may be" },
  upper: {
    type: "string",
    placeholder: "DIR|tmpfs[:SIZE]",
    completes: "directory",
    summary: "where changes are kept: below a directory, or in memory",
  },
  lower: {
    type: "strings",
    placeholder: "DIR",
    completes: "directory",
    summary: "lay a directory over the root, below the changes; the first is the topmost",
  },
  ttl: { type: "duration", summary: "after this time gc may end it: 90m, 7d" },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type SessionOptionValues = OptionsOf<typeof sessionOptionSpecs>;

/** What was typed, as the session layer takes it: paths are absolute, nothing is there that wasn't given. */
export function sessionOptions(given: SessionOptionValues): SessionOptions {
  const limits = limitsOf(given);
  return {
    ...(given.name === undefined ? {} : { name: given.name }),
    ...(given.upper === undefined ? {} : { upper: parseUpper(given.upper) }),
    ...(given.lower.length === 0 ? {} : { lowers: given.lower.map((path) => resolve(path)) }),
    ...(given.bind.length === 0 ? {} : { binds: given.bind.map(parseBind) }),
    ...(given.network === undefined ? {} : { network: given.network }),
    ...(given.hostname === undefined ? {} : { hostname: given.hostname }),
    ...(limits === undefined ? {} : { limits }),
    ...(given.ttl === undefined ? {} : { ttlSeconds: given.ttl }),
  };
}

function limitsOf({ memory, cpus, pids }: SessionOptionValues): Limits | undefined {
  if (memory === undefined && cpus === undefined && pids === undefined) return undefined;
  if (pids !== undefined && !Number.isInteger(pids)) throw new UserError("usage", `--pids: no whole number: ${pids}`);
  return {
    ...(memory === undefined ? {} : { memoryBytes: memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
  };
}

/** `tmpfs`, `tmpfs:2G`, or a directory; one that is called tmpfs is written ./tmpfs. */
export function parseUpper(text: string): Upper {
  if (text === "tmpfs") return { kind: "tmpfs" };
  if (text.startsWith("tmpfs:")) return { kind: "tmpfs", sizeBytes: parseSize(text.slice(6), "--upper tmpfs") };
  if (text === "") throw new UserError("usage", "--upper: an empty path");
  return { kind: "directory", path: resolve(text) };
}

/** `HOST[:INSIDE[:ro]]`; without INSIDE, or with an empty one, it is at the same place inside. */
export function parseBind(text: string): Bind {
  const [host = "", inside = "", mode, ...more] = text.split(":");
  const hint = "give HOST, HOST:INSIDE or HOST:INSIDE:ro, with INSIDE beginning with /";
  const isInsideGood = inside === "" || inside.startsWith("/");
  if (host === "" || !isInsideGood || (mode !== undefined && mode !== "ro") || more.length > 0) {
    throw new UserError("usage", `--bind: can't be understood: ${text}`, { hint });
  }
  const from = resolve(host);
  return { from, to: inside === "" ? from : inside, readOnly: mode === "ro" };
}

/** The first option of `given` that only a new session can have. */
export function givenSessionOption(given: SessionOptionValues): string | undefined {
  const keys = Object.keys(sessionOptionSpecs) as (keyof SessionOptionValues)[];
  return keys.find((key) => (Array.isArray(given[key]) ? given[key].length > 0 : given[key] !== undefined));
}
