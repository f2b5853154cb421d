import { findChroot } from "../../chroot/config.ts";
import { UserError } from "../../error.ts";
import { type SessionInfo, sessionInfo } from "../../session/list.ts";
import { sessionIds } from "../../session/names.ts";
import { hostName } from "../../session/source.ts";
import { command, type JsonField } from "../command.ts";
import { fields } from "../print.ts";
import { durationText, sizeText } from "../values.ts";
import { type ChrootDescription, chrootJson, describeChroot } from "./chroot/describe.ts";
import { ttlText } from "./list.ts";
import { parseSource } from "./operands.ts";
import { infoJson } from "./session-json.ts";

type Described =
  | ({ readonly kind: "session" } & SessionInfo)
  | ({ readonly kind: "chroot" } & ChrootDescription)
  | { readonly kind: "host"; readonly name: string; readonly directory: string };

export const info = command({
  name: "info",
  summary: "show all that is known of a session or a chroot",
  description: [
    "NAME alone is a chroot, or where there is none of this name a session. Among a session's unions are the mount options that the kernel took; docs/overlayfs.md says what each is for.",
  ],
  operands: { source: { arity: "one", completes: "source", summary: "@ID for a session, a chroot, or host" } },
  options: {},
  examples: [
    { line: "fallthru info @fix", does: "a session: its unions, processes and limits" },
    { line: "fallthru info bookworm", does: "a chroot: where it is and where it is described" },
  ],
  exits: { 3: "no such session or chroot", 6: "the chroot is described wrongly" },
  json: [
    { name: "kind", type: "string", summary: "`session`, `chroot` or `host`; what else there is depends on it" },
    ...grouped("session", infoJson),
    ...grouped("chroot", chrootJson("")),
    ...grouped("host", [
      { name: "name", type: "string", summary: "`host`" },
      { name: "directory", type: "string", summary: "`/`" },
    ]),
  ],
  run: ({ source }) => ({ data: describe(source) }),
  text: (data) => fields(rows(data)),
});

function grouped(kind: string, fields: readonly JsonField[]): JsonField[] {
  return fields.map((field) => ({ ...field, summary: `(${kind}) ${field.summary}` }));
}

function describe(word: string): Described {
  const source = parseSource(word);
  if (source.kind === "session") return { kind: "session", ...sessionInfo(source.id) };
  if (source.name === hostName) return { kind: "host", name: hostName, directory: "/" };
  try {
    return { kind: "chroot", ...describeChroot(findChroot(source.name)) };
  } catch (error) {
    const isSession = error instanceof UserError && error.code === "not-found" && sessionIds().includes(source.name);
    if (isSession) return { kind: "session", ...sessionInfo(source.name) };
    throw error;
  }
}

function rows(data: Described): [string, string | readonly string[] | undefined][] {
  switch (data.kind) {
    case "session":
      return sessionRows(data);
    case "chroot":
      return [
        ["chroot", data.name],
        ["description", data.description === "" ? undefined : data.description],
        ["type", data.type],
        ["directory", data.directory],
        ["aliases", data.aliases.length === 0 ? undefined : data.aliases.join(", ")],
        ["profile", data.profile],
        ["described at", `${data.file}:${data.line}`],
      ];
    case "host":
      return [
        ["chroot", data.name],
        ["description", "this machine's own root, with every real file system that is mounted below it"],
        ["directory", data.directory],
      ];
  }
}

function sessionRows(session: SessionInfo): [string, string | readonly string[] | undefined][] {
  const { upper, limits, unions, processes, createdMs } = session;
  const sizes = upper.kind === "tmpfs" && upper.sizeBytes !== undefined ? ` of ${sizeText(upper.sizeBytes)}` : "";
  return [
    ["session", session.id],
    ["chroot", session.chroot],
    ["state", session.state],
    ["begun", `${new Date(createdMs).toISOString()}, ${durationText((Date.now() - createdMs) / 1000)} ago`],
    ["ttl", session.expiresMs === undefined ? undefined : ttlText(session.expiresMs)],
    ["forked from", session.forkedFrom],
    ["mounted on", session.mountPoint],
    ["root below", rootText(session)],
    ["changes in", upper.kind === "tmpfs" ? `memory (tmpfs${sizes})` : (unions[0]?.upper ?? "-")],
    ["network", session.network],
    ["hostname", session.hostname],
    ["memory", limits.memoryBytes === undefined ? undefined : `at most ${sizeText(limits.memoryBytes)}`],
    ["cpus", limits.cpus === undefined ? undefined : `at most ${limits.cpus}`],
    ["pids", limits.pids === undefined ? undefined : `at most ${limits.pids}`],
    [
      "unions",
      unions.flatMap(({ path, lowers, frozen, options }) => [
        `${path}: over ${lowersText(lowers.slice(frozen.length))}${frozenText(frozen.length)}`,
        `  ${options.join(", ")}`,
      ]),
    ],
    ["processes", processes.length === 0 ? "none" : processes.map(({ pid, command }) => `${pid} ${command}`)],
  ];
}

/** Forks have made layers of what the session had changed until then. */
function rootText({ rootReplacedMs, rootChangedMs }: SessionInfo): string | undefined {
  const at = (ms: number) => new Date(ms).toISOString();
  if (rootReplacedMs !== undefined)
    return `updated ${at(rootReplacedMs)}: this session keeps what it was; new sessions have the update`;
  if (rootChangedMs === undefined) return undefined;
  return `packages changed ${at(rootChangedMs)}: what is seen of that is undefined; new sessions see all of it`;
}

function frozenText(count: number): string {
  return count === 0 ? "" : `, and ${count} of its own from before ${count === 1 ? "a fork" : "forks"}`;
}

function lowersText(lowers: readonly string[]): string {
  return lowers.length > 4 ? `${lowers.slice(0, 3).join(", ")} and ${lowers.length - 3} more` : lowers.join(", ");
}
