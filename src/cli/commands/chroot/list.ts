import { readChroots } from "../../../chroot/config.ts";
import { problemError, problemLine } from "../../../chroot/problem.ts";
import { command } from "../../command.ts";
import { table } from "../../print.ts";
import { warn } from "../../warn.ts";
import { chrootJson, describeChroot } from "./describe.ts";

export const list = command({
  name: "chroot list",
  summary: "list the chroots",
  description: [
    "Reads /etc/schroot/schroot.conf and /etc/schroot/chroot.d. Whatever is wrong with a description is said with its file and line, and keeps no other chroot from being listed.",
  ],
  operands: {},
  options: {},
  examples: [{ line: "fallthru chroot list", does: "a table" }],
  exits: { 6: "a description is wrong; the others are listed" },
  json: [
    { name: "chroots", type: "object[]", summary: "those that are described well, by name" },
    ...chrootJson("chroots[]."),
  ],
  run: (_, __, common) => {
    const { chroots, problems, warnings } = readChroots();
    warn(warnings.map(problemLine), common);
    return { data: { chroots: chroots.map(describeChroot) }, errors: problems.map((problem) => problemError(problem)) };
  },
  text: ({ chroots }) =>
    table(
      ["CHROOT", "TYPE", "ROOT", "DESCRIPTION"],
      chroots.map(({ name, type, root, description }) => [name, type, root, description]),
    ),
});
