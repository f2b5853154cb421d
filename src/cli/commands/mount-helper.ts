import { spawnSync } from "node:child_process";
import { UserError } from "../../error.ts";
import { command } from "../command.ts";
import { mountAt } from "./mount.ts";

const options = {
  option: { type: "strings", short: "o", placeholder: "OPTION,...", summary: "as of fallthru mount" },
  sloppy: { type: "boolean", short: "s", summary: "of mount(8); changes nothing" },
  fake: { type: "boolean", short: "f", summary: "do nothing" },
  noMtab: { type: "boolean", short: "n", summary: "of mount(8); changes nothing" },
  type: { type: "string", short: "t", summary: "of mount(8); changes nothing" },
  namespace: { type: "string", short: "N", summary: "of mount(8); changes nothing" },
} as const;
const target = { arity: "one", summary: "where to mount it" } as const;
const example = { line: "mount -t fallthru -o lowerdir=/srv/top:/srv/base fallthru /mnt", does: "calls it" };

/** As mount(8) calls `mount.TYPE`: `mount.fallthru SOURCE TARGET [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE.SUBTYPE]`. */
export const mountHelper = command({
  name: "mount.fallthru",
  summary: "be the helper of mount(8) for the type fallthru",
  operands: { source: { arity: "one", summary: "shown in the place of a device" }, target },
  options,
  examples: [example],
  exits: {},
  json: [],
  run: ({ source, target }, { option, fake }) => {
    if (!fake) mountOrRemount(option, source, target);
    return {};
  },
});

/** As mount.fuse(8), which mount(8) calls for types that have no helper of their own: `TYPE SOURCE TARGET -o OPTIONS`. */
export const mountByFuse = command({
  name: "fallthru",
  summary: "be what mount.fuse(8) calls for the source and type fallthru",
  operands: { target },
  options,
  examples: [example],
  exits: {},
  json: [],
  run: ({ target }, { option, fake }) => {
    if (!fake) mountOrRemount(option, "fallthru", target);
    return {};
  },
});

/** Of a mount that is there the kernel changes the options by itself. */
function mountOrRemount(option: readonly string[], source: string, target: string): void {
  if (!option.some((each) => each.split(",").includes("remount"))) {
    mountAt(option, source, target);
    return;
  }
  const { status, stderr } = spawnSync("mount", ["--internal-only", "-o", option.join(","), target], {
    encoding: "utf8",
  });
  if (status !== 0) throw new UserError("unsupported", (stderr ?? "").replace(/^mount: /, "").split("\n")[0] ?? "");
}
