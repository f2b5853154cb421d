import { resolve } from "node:path";
import { changeLayers } from "../../../mount/fallthru/relayer.ts";
import { command } from "../../command.ts";

export const add = command({
  name: "layer add",
  summary: "add a lower to a mounted union",
  description: [
    "Lays DIRECTORY over all lowers of the union that is mounted on TARGET, or below them, while it is in use. What the upper says goes on to count: what was deleted stays deleted. Whoever has a file open that is hidden from now on goes on with that file.",
    "It lasts until the union is unmounted. Linux 6.16 or newer is needed.",
  ],
  operands: {
    target: { arity: "one", completes: "directory", summary: "where it is mounted" },
    directory: { arity: "one", completes: "directory", summary: "the new lower" },
  },
  options: { bottom: { type: "boolean", summary: "below the other lowers, not over them" } },
  examples: [
    { line: "fallthru layer add /mnt /srv/more", does: "/srv/more over the lowers of /mnt" },
    { line: "fallthru layer add --bottom /mnt /srv/base", does: "/srv/base below them" },
  ],
  exits: { 3: "no union of ours is mounted there", 5: "the directory is a layer already" },
  json: [
    { name: "target", type: "string", summary: "where it is mounted" },
    { name: "directory", type: "string", summary: "the lower" },
  ],
  run: ({ target, directory }, { bottom }) => {
    const data = { target: resolve(target), directory: resolve(directory) };
    changeLayers(data.target, bottom ? "add-bottom" : "add-top", data.directory);
    return { data };
  },
});
