import type { JsonField } from "../command.ts";

const file = (side: "before" | "after", what: string): JsonField[] => [
  { name: `changes[].${side}`, type: "object?", summary: what },
  {
    name: `changes[].${side}.type`,
    type: "string",
    summary: "`file`, `directory`, `link`, `character device`, `block device`, `fifo`, `socket`",
  },
  { name: `changes[].${side}.mode`, type: "string", summary: "four octal digits" },
  { name: `changes[].${side}.uid`, type: "number", summary: "its owner" },
  { name: `changes[].${side}.gid`, type: "number", summary: "its group" },
  { name: `changes[].${side}.sizeBytes`, type: "number", summary: "its size" },
  { name: `changes[].${side}.mtimeNs`, type: "string", summary: "when it was last modified: nanoseconds since 1970" },
];

/** What `diff --json` prints. */
export const diffJson: readonly JsonField[] = [
  { name: "id", type: "string", summary: "the session's id" },
  { name: "changes", type: "object[]", summary: "what was changed, by path; a directory before what is in it" },
  { name: "changes[].change", type: "string", summary: "`added`, `modified`, `deleted`, `renamed`, `type`" },
  {
    name: "changes[].path",
    type: "string",
    summary: "in the session, absolute; quoted as git does it, where it must be",
  },
  { name: "changes[].from", type: "string?", summary: "of what was renamed: where it was" },
  {
    name: "changes[].aspects",
    type: "string[]?",
    summary:
      "of what was modified or renamed, what else differs: `content`, `mode`, `owner`, `time`, `device`, `target`, `links` (it is one file with others than before), `xattr:NAME`",
  },
  {
    name: "changes[].linkTo",
    type: "string?",
    summary: "another name of the same file, unchanged or earlier in the list",
  },
  {
    name: "changes[].runsLater",
    type: "string?",
    summary: "who runs it later without being asked: `cron`, `setuid`, …",
  },
  ...file("before", "what is below the session's changes"),
  ...file("after", "what the session shows"),
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
