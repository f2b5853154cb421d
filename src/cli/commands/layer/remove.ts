import { resolve } from "node:path";
import { changeLayers } from "../../../mount/fallthru/relayer.ts";
import { command } from "../../command.ts";

export const remove = command({
  name: "layer remove",
  summary: "take a lower out of a mounted union",
  description: [
    "Takes DIRECTORY, as the verb layer list shows it, out of the lowers of the union that is mounted on TARGET. A lower that is in use is refused, with the reason: a file of it is open, or the upper holds no more than the attributes of a file whose content is there.",
    "Its file system stays busy until the union is unmounted. Linux 6.16 or newer is needed.",
  ],
  operands: {
    target: { arity: "one", completes: "directory", summary: "where it is mounted" },
    directory: { arity: "one", completes: "directory", summary: "the lower" },
  },
  options: {},
  examples: [{ line: "fallthru layer remove /mnt /srv/more", does: "/mnt without /srv/more" }],
  exits: { 3: "no union of ours, or no such lower", 4: "it is in use" },
  json: [
    { name: "target", type: "string", summary: "where it is mounted" },
    { name: "directory", type: "string", summary: "the lower" },
  ],
  run: ({ target, directory }) => {
    const data = { target: resolve(target), directory: resolve(directory) };
    changeLayers(data.target, "remove", data.directory);
    return { data };
  },
});
