import { UserError } from "../../error.ts";
import type { Bind, Limits, SessionOptions, Upper } from "../../session/types.ts";
import { parseSize } from "../values.ts";
import type { SessionOptionValues } from "./session-options.ts";

/** What was typed, as the session layer takes it: paths are absolute, nothing is there that wasn't given. */
export function sessionOptions(given: SessionOptionValues): SessionOptions {
  const limits = limitsOf(given);
  return {
    ...(given.name === undefined ? {} : { name: given.name }),
    ...(given.upper === undefined ? {} : { upper: parseUpper(given.upper) }),
    ...(given.lower.length === 0 ? {} : { lowers: given.lower.map(parseLower) }),
    ...(given.bind.length === 0 ? {} : { binds: given.bind.map(parseBind) }),
    ...(given.union === undefined ? {} : { union: given.union }),
    ...(given.network === undefined ? {} : { network: given.network }),
    ...(given.hostname === undefined ? {} : { hostname: given.hostname }),
    ...(limits === undefined ? {} : { limits }),
    ...(given.ttl === undefined ? {} : { ttlSeconds: given.ttl }),
  };
}

/** With less the kernel kills whatever enters the group, without a word. */
const leastMemory = 2 ** 20;

function limitsOf({ memory, cpus, pids }: SessionOptionValues): Limits | undefined {
  if (memory === undefined && cpus === undefined && pids === undefined) return undefined;
  if (pids !== undefined && !Number.isInteger(pids)) throw new UserError("usage", `--pids: no whole number: ${pids}`);
  if (memory !== undefined && memory < leastMemory)
    throw new UserError("usage", `--memory: no process starts with ${memory} bytes`, {
      hint: "a unit is missing? 512M, 2G",
    });
  return {
    ...(memory === undefined ? {} : { memoryBytes: memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
  };
}

function parseLower(text: string): string {
  if (text === "") throw new UserError("usage", "--lower: an empty path");
  return absolute(text);
}

/** `tmpfs`, `tmpfs:2G`, or a directory; one that is called tmpfs is written ./tmpfs. */
function parseUpper(text: string): Upper {
  if (text === "tmpfs") return { kind: "tmpfs" };
  if (text.startsWith("tmpfs:")) return { kind: "tmpfs", sizeBytes: parseSize(text.slice(6), "--upper tmpfs") };
  if (text === "") throw new UserError("usage", "--upper: an empty path");
  return { kind: "directory", path: absolute(text) };
}

/** `HOST[:INSIDE[:ro]]`; without INSIDE, or with an empty one, it is at the same place inside. */
function parseBind(text: string): Bind {
  const [host = "", inside = "", mode, ...more] = text.split(":");
  const hint = "give HOST, HOST:INSIDE or HOST:INSIDE:ro, with INSIDE beginning with /";
  const isInsideGood = inside === "" || inside.startsWith("/");
  if (host === "" || !isInsideGood || (mode !== undefined && mode !== "ro") || more.length > 0) {
    throw new UserError("usage", `--bind: can't be understood: ${text}`, { hint });
  }
  const from = absolute(host);
  return { from, to: inside === "" ? from : inside, readOnly: mode === "ro" };
}

/** Loaded here: few are given one, and it costs a start 0.6 ms. */
function absolute(path: string): string {
  return path.startsWith("/") && !path.endsWith("/") && !path.includes("/.") && !path.includes("//")
    ? path
    : process.getBuiltinModule("node:path").resolve(path);
}
