import type { JsonField } from "../command.ts";

/** The fields of a session in JSON output; `prefix` says where it stands: `sessions[].`, or nothing. */
export function sessionJson(prefix: string): JsonField[] {
  return [
    { name: `${prefix}id`, type: "string", summary: "its id: what follows the @" },
    {
      name: `${prefix}chroot`,
      type: "string",
      summary: "the chroot that it is a view of; `host` for the machine's own root",
    },
    { name: `${prefix}state`, type: "string", summary: "`open`, `unmounted`, `held`, `leftover` or `unreadable`" },
    { name: `${prefix}createdMs`, type: "number", summary: "when it was begun, in milliseconds since 1970" },
    {
      name: `${prefix}expiresMs`,
      type: "number?",
      summary: "when `gc` may end it; absent where it was begun without a ttl",
    },
    { name: `${prefix}forkedFrom`, type: "string?", summary: "the session that it was forked from" },
    {
      name: `${prefix}rootReplacedMs`,
      type: "number?",
      summary: "when `chroot update` put another root in the place of the one that it lies over, which it keeps",
    },
    { name: `${prefix}mountPoint`, type: "string", summary: "where its tree is mounted" },
  ];
}

/** What `begin` and `info` say of one session. */
export const infoJson: readonly JsonField[] = [
  ...sessionJson(""),
  { name: "upper", type: "object", summary: "where its changes are kept" },
  { name: "upper.kind", type: "string", summary: "`state`: below /var/lib/fallthru; `directory`; `tmpfs`" },
  { name: "upper.path", type: "string?", summary: "of a `directory`" },
  { name: "upper.sizeBytes", type: "number?", summary: "of a `tmpfs`, where it was limited" },
  { name: "network", type: "string", summary: "`host` or `none`" },
  { name: "hostname", type: "string?", summary: "the machine's name inside, where it is another" },
  { name: "limits", type: "object", summary: "what its processes may use together" },
  { name: "limits.memoryBytes", type: "number?", summary: "memory" },
  { name: "limits.cpus", type: "number?", summary: "cores' worth of time" },
  { name: "limits.pids", type: "number?", summary: "how many processes" },
  { name: "unions", type: "object[]", summary: "its union mounts, the root's first" },
  { name: "unions[].path", type: "string", summary: "where in the session it is mounted" },
  { name: "unions[].lowers", type: "string[]", summary: "the layers below, the topmost first" },
  {
    name: "unions[].frozen",
    type: "string[]",
    summary: "those of them, from the top, that the session itself had changed before it was forked",
  },
  { name: "unions[].upper", type: "string", summary: "the directory of the changes" },
  { name: "unions[].work", type: "string", summary: "overlayfs's work directory" },
  { name: "unions[].options", type: "string[]", summary: "the mount options that the kernel took" },
  {
    name: "rootChangedMs",
    type: "number?",
    summary: "when packages of the root below were last changed, where that was after its beginning",
  },
  { name: "processes", type: "object[]", summary: "what runs in it" },
  { name: "processes[].pid", type: "number", summary: "the process's id, as the host sees it" },
  { name: "processes[].command", type: "string", summary: "its command line" },
];
