import { command } from "../command.ts";
import { mountAt } from "./mount.ts";

/** As mount(8) calls `mount.TYPE`: `mount.fallthru SOURCE TARGET [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE.SUBTYPE]`. */
export const mountHelper = command({
  name: "mount.fallthru",
  summary: "be the helper of mount(8) for the type fallthru",
  operands: {
    source: { arity: "one", summary: "shown in the place of a device" },
    target: { arity: "one", summary: "where to mount it" },
  },
  options: {
    option: { type: "strings", short: "o", placeholder: "OPTION,...", summary: "as of fallthru mount" },
    sloppy: { type: "boolean", short: "s", summary: "of mount(8); changes nothing" },
    fake: { type: "boolean", short: "f", summary: "do nothing" },
    noMtab: { type: "boolean", short: "n", summary: "of mount(8); changes nothing" },
    type: { type: "string", short: "t", summary: "of mount(8); changes nothing" },
    namespace: { type: "string", short: "N", summary: "of mount(8); changes nothing" },
  },
  examples: [{ line: "mount -t fallthru -o lowerdir=/srv/top:/srv/base fallthru /mnt", does: "calls it" }],
  exits: {},
  json: [],
  run: ({ source, target }, { option, fake }) => {
    if (!fake) mountAt(option, source, target);
    return {};
  },
});
