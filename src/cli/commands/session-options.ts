import type { OptionSpec, OptionsOf } from "../command.ts";

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
  union: {
    type: "string",
    placeholder: "overlay|fallthru|auto",
    completes: ["overlay", "fallthru", "auto"],
    summary: "the kernel's overlayfs, our own union, or whichever can be had; else what the chroot's union-type says",
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

/** The first option of `given` that only a new session can have. */
export function givenSessionOption(given: SessionOptionValues): string | undefined {
  // No find(): the first call of an array's method that takes a function costs a start 0.06 ms.
  for (const key of Object.keys(sessionOptionSpecs) as (keyof SessionOptionValues)[]) {
    const value = given[key];
    if (Array.isArray(value) ? value.length > 0 : value !== undefined) return key;
  }
  return undefined;
}
