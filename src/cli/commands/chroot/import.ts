import { basename, resolve } from "node:path";
import { importRoot } from "../../../image/import.ts";
import { command } from "../../command.ts";
import { chrootJson } from "./describe.ts";
import { makeChroot, parseType, typeOption } from "./making.ts";

export const importFile = command({
  name: "chroot import",
  summary: "make a chroot of a tar archive",
  description: [
    "Unpacks FILE, or standard input for -, which may be compressed with gzip, xz, zstd or bzip2, below /var/lib/fallthru/chroots, and describes it in /etc/schroot/chroot.d/NAME.conf. The chroot appears when it is whole; an import that is stopped or fails leaves nothing. An entry of the archive that would land outside stops it.",
    "The new chroot starts no daemons (policy-rc.d), and has no resolv.conf, hosts or machine-id of this machine's.",
  ],
  operands: {
    name: { arity: "one", summary: "the new chroot's name" },
    file: { arity: "one", completes: "file", summary: "the archive: .tar, .tar.gz, .tar.xz, .tar.zst" },
  },
  options: { type: typeOption, description: { type: "string", placeholder: "TEXT", summary: "one line for people" } },
  examples: [
    {
      line: "fallthru chroot import bookworm bookworm.tar.zst",
      does: "an archive that mmdebstrap or docker export wrote",
    },
    { line: "docker export box | fallthru chroot import box -", does: "the same without a file in between" },
  ],
  exits: {
    3: "no such archive",
    5: "the name is taken",
    8: "a file system is full",
    9: "the archive is damaged, or an entry would land outside",
  },
  json: chrootJson(""),
  run: async ({ name, file }, { type: typeText, description }, common) => {
    const type = parseType(typeText);
    const archive = file === "-" ? file : resolve(file);
    const about = {
      name,
      ...type,
      description: description ?? `imported from ${file === "-" ? "standard input" : basename(archive)}`,
    };
    const make = makeChroot(about, common, (reporting) => importRoot(name, archive, { ...type, ...reporting }));
    return { data: await make };
  },
  text: ({ name, root }, { quiet }) => (quiet ? "" : `imported ${name}, its root is ${root}\n`),
});
