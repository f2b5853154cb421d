import { statSync } from "node:fs";
import { resolve } from "node:path";
import { writeChroot } from "../../../chroot/write.ts";
import { UserError } from "../../../error.ts";
import { command } from "../../command.ts";
import { chrootJson, describeChroot } from "./describe.ts";

export const add = command({
  name: "chroot add",
  summary: "describe a directory that holds a root as a chroot",
  description: [
    "Writes /etc/schroot/chroot.d/NAME.conf, which schroot reads too. The directory stays as it is: sessions are views of it.",
  ],
  operands: {
    name: { arity: "one", summary: "the new chroot's name" },
    directory: { arity: "one", completes: "directory", summary: "where its root is" },
  },
  options: { description: { type: "string", placeholder: "TEXT", summary: "one line for people" } },
  examples: [
    {
      line: "fallthru chroot add base /srv/chroots/base",
      does: "fallthru run base, and schroot -c base, work from now on",
    },
  ],
  exits: { 3: "no such directory", 5: "the name is taken" },
  json: chrootJson(""),
  run: ({ name, directory }, { description }) => {
    if (directory === "") throw new UserError("usage", "DIRECTORY is empty");
    const path = resolve(directory);
    requireDirectory(path);
    return { data: describeChroot(writeChroot({ name, directory: path, description: description ?? name })) };
  },
  text: ({ name, file }, { quiet }) => (quiet ? "" : `added ${name}, described in ${file}\n`),
});

function requireDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UserError("not-found", `no directory ${path}`, {
      hint: "fallthru chroot create makes a chroot from nothing",
    });
  }
}
