import type { JsonField } from "../command.ts";

const file = (list: string, side: "before" | "after", what: string): JsonField[] => [
  { name: `${list}[].${side}`, type: "object?", summary: what },
  {
    name: `${list}[].${side}.type`,
    type: "string",
    summary: "`file`, `directory`, `link`, `character device`, `block device`, `fifo`, `socket`",
  },
  { name: `${list}[].${side}.mode`, type: "string", summary: "four octal digits" },
  { name: `${list}[].${side}.uid`, type: "number", summary: "its owner" },
  { name: `${list}[].${side}.gid`, type: "number", summary: "its group" },
  { name: `${list}[].${side}.sizeBytes`, type: "number", summary: "its size" },
  { name: `${list}[].${side}.mtimeNs`, type: "string", summary: "when it was last modified: nanoseconds since 1970" },
];

/** A list of changes. */
export function changeJson(list: string, summary: string): JsonField[] {
  return [
    { name: list, type: "object[]", summary },
    { name: `${list}[].change`, type: "string", summary: "`added`, `modified`, `deleted`, `renamed`, `type`" },
    {
      name: `${list}[].path`,
      type: "string",
      summary: "in the session, absolute; quoted as git does it, where it must be",
    },
    { name: `${list}[].from`, type: "string?", summary: "of what was renamed: where it was" },
    {
      name: `${list}[].aspects`,
      type: "string[]?",
      summary:
        "of what was modified or renamed, what else differs: `content`, `mode`, `owner`, `time`, `device`, `target`, `links` (it is one file with others than before), `xattr:NAME`",
    },
    {
      name: `${list}[].linkTo`,
      type: "string?",
      summary: "another name of the same file, unchanged or earlier in the list",
    },
    {
      name: `${list}[].runsLater`,
      type: "string?",
      summary: "who runs it later without being asked: `cron`, `setuid`, …",
    },
    ...file(list, "before", "what is below the session's changes"),
    ...file(list, "after", "what the session shows"),
  ];
}

/** What `diff --json` prints. */
export const diffJson: readonly JsonField[] = [
  { name: "id", type: "string", summary: "the session's id" },
  ...changeJson("changes", "what was changed, by path; a directory before what is in it"),
  { name: "packages", type: "object[]", summary: "of a Debian root: which packages differ, by dpkg's status" },
  { name: "packages[].what", type: "string", summary: "`installed`, `removed`, `upgraded`, `downgraded`" },
  { name: "packages[].name", type: "string", summary: "the package" },
  { name: "packages[].architecture", type: "string", summary: "its architecture" },
  { name: "packages[].from", type: "string?", summary: "the version that it had" },
  { name: "packages[].to", type: "string?", summary: "the version that it has" },
  {
    name: "timesOnly",
    type: "number",
    summary: "how many directories differ in their times alone, and aren't in `changes` without --times",
  },
];
