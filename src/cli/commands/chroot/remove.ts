import { lstatSync } from "node:fs";
import { findChroot } from "../../../chroot/config.ts";
import { describeRoot } from "../../../chroot/types/index.ts";
import { removeChroot } from "../../../chroot/write.ts";
import { UserError } from "../../../error.ts";
import { removeRoot, rootPathOf } from "../../../image/place.ts";
import { listSessions } from "../../../session/list.ts";
import { command } from "../../command.ts";

export const remove = command({
  name: "chroot remove",
  summary: "remove a chroot",
  description: [
    "Removes the chroot's description from /etc/schroot/chroot.d. A root that chroot create or chroot import made is deleted too; a directory that chroot add described stays as it is.",
  ],
  operands: { name: { arity: "one", completes: "chroot", summary: "the chroot" } },
  options: { keepRoot: { type: "boolean", summary: "remove the description only" } },
  examples: [{ line: "fallthru chroot remove bookworm", does: "its description, and its root if Fallthru made it" }],
  exits: {
    3: "no such chroot",
    4: "there are sessions of it",
    7: "its description stands in a file with others: remove it by hand",
  },
  json: [
    { name: "name", type: "string", summary: "the chroot's name" },
    { name: "file", type: "string?", summary: "the file that described it; absent where nothing did" },
    { name: "directory", type: "string?", summary: "the root that was deleted; absent where none was" },
  ],
  run: async ({ name }, { keepRoot }) => {
    checkUnused(name);
    const directory = keepRoot ? undefined : rootOfOurs(name);
    const file = removeDescription(name, directory);
    if (directory !== undefined) await removeRoot(name);
    return {
      data: { name, ...(file === undefined ? {} : { file }), ...(directory === undefined ? {} : { directory }) },
    };
  },
  text: ({ name, ...gone }, { quiet }) => {
    return quiet ? "" : `removed ${name}: ${Object.values(gone).join(", ")}\n`;
  },
});

function checkUnused(name: string): void {
  const used = listSessions().filter(({ chroot }) => chroot === name);
  const [first] = used;
  if (first === undefined) return;
  const ids = used.map(({ id }) => `@${id}`);
  throw new UserError(
    "busy",
    `${ids.length === 1 ? "a session is a view" : `${ids.length} sessions are views`} of ${name}`,
    {
      hint: `end ${ids.length === 1 ? "it" : "them"} first: fallthru end ${ids.slice(0, 10).join(" ")}`,
    },
  );
}

/** The root that Fallthru made for this chroot, also where it was killed before it could describe it. */
function rootOfOurs(name: string): string | undefined {
  const path = rootPathOf(name);
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  try {
    const root = describeRoot(findChroot(name));
    return root === path || root.startsWith(`${path}/`) ? path : undefined;
  } catch (error) {
    if (error instanceof UserError && (error.code === "not-found" || error.code === "config")) return path;
    throw error;
  }
}

/** @returns the file; nothing where only a root is left */
function removeDescription(name: string, root: string | undefined): string | undefined {
  try {
    return removeChroot(name);
  } catch (error) {
    if (root !== undefined && error instanceof UserError && error.code === "not-found") return undefined;
    throw error;
  }
}
