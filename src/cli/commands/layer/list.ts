import { resolve } from "node:path";
import { layersOfMount } from "../../../mount/fallthru/layerlist.ts";
import { command } from "../../command.ts";
import { table } from "../../print.ts";

export const list = command({
  name: "layer list",
  summary: "list the layers of a mounted union",
  description: [
    "Asks the server of a union that the verb mount, or a session on our own union, has mounted on TARGET. Whoever can open that directory may ask; getfattr -n fallthru.layers TARGET is the same.",
  ],
  operands: { target: { arity: "one", completes: "directory", summary: "where it is mounted" } },
  options: {},
  examples: [{ line: "fallthru layer list /mnt", does: "what /mnt is made of, from the top" }],
  exits: { 3: "no union of ours is mounted there" },
  json: [
    { name: "target", type: "string", summary: "where it is mounted" },
    { name: "layers", type: "object[]", summary: "from the top" },
    { name: "layers[].role", type: "string", summary: "`upper`, `lower`, or `data`: only content is found there" },
    { name: "layers[].path", type: "string", summary: "its directory, as it was given" },
    {
      name: "layers[].dialect",
      type: "string",
      summary: "its format: `overlay`, `overlay-user` (`user.` marks), `aufs`",
    },
  ],
  run: ({ target }) => {
    const path = resolve(target);
    return { data: { target: path, layers: layersOfMount(path) } };
  },
  text: ({ layers }) =>
    table(
      ["LAYER", "FORMAT", "DIRECTORY"],
      layers.map(({ role, dialect, path }) => [role, dialect, path]),
    ),
});
