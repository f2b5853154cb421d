import { dirname } from "node:path";
import { UserError } from "../error.ts";
import { parseMountOptions } from "../mount/fallthru/options.ts";
import { splitOptions } from "../mount/mountinfo.ts";
import type { Union } from "../mount/plan.ts";
import type { Adjusted } from "./plan.ts";

/**
 * The union as a chroot's union-mount-options want it: what schroot.conf(5) gives to mount(8) behind -o, of overlayfs
 * (`lowerdir=…,metacopy=on`), aufs (`br:RW:RO=ro`) or unionfs (`dirs=RW=rw:RO=ro`). Where no layers are named they stay.
 * @param root what `${CHROOT_UNION_UNDERLAY_DIRECTORY}` stands for; the other one is the parent of upper and work
 * @throws {UserError} config
 */
export function adjustUnion(union: Union, text: string, root: string): Adjusted {
  const variables = new Map([
    ["CHROOT_UNION_OVERLAY_DIRECTORY", dirname(union.upper)],
    ["CHROOT_UNION_UNDERLAY_DIRECTORY", root],
  ]);
  const expand = (value: string): string =>
    value.replace(/\$\{?([A-Z_]+)\}?/g, (whole, name: string) => variables.get(name) ?? whole);
  // unionfs has its branches with commas in between.
  const words = expand(text.replace(/^\s*-o\s*/, ""))
    .replaceAll(",/", ":/")
    .split(",");
  const { attributes, rest } = splitOptions(words.map((word) => word.trim()).filter((word) => word !== ""));
  const layers: Layers = { lowers: [...union.lowers], upper: union.upper, work: union.work };
  const options = [...(union.options ?? [])];
  for (const option of rest) {
    if (["rw", "defaults"].includes(option)) continue;
    const [, key = option, value = ""] = /^(\w+)[=:](.*)$/.exec(option) ?? [];
    if (!takeLayers(layers, key, value, union)) options.push(option);
  }
  if (union.type === "overlay") return { union: { ...union, ...layers, options }, attributes };
  const asked = parseMountOptions(options, "fallthru", (path) => path);
  const { metacopy, index, redirects, marks, dialect, lowerDialect, passthrough } = asked;
  const ours = { metacopy, index, redirects, marks, dialect, lowerDialect, passthrough };
  return { union: { ...union, ...layers, ours }, attributes: attributes | asked.attributes };
}

type Layers = { lowers: string[]; upper: string; work: string };

/** @returns whether the option names layers */
function takeLayers(layers: Layers, key: string, value: string, union: Union): boolean {
  switch (key) {
    case "lowerdir":
      layers.lowers = value.split(":").filter((path) => path !== "");
      break;
    case "upperdir":
      layers.upper = value;
      break;
    case "workdir":
      layers.work = value;
      break;
    case "br":
    case "dirs":
      layers.lowers = branches(value, union);
      break;
    default:
      return false;
  }
  const relative = [...layers.lowers, layers.upper, layers.work].find((path) => !path.startsWith("/"));
  if (relative === undefined && layers.lowers.length > 0) return true;
  throw new UserError("config", `union-mount-options: ${key}=${value} names no layers by absolute paths`);
}

/** `PATH=rw` and `PATH=ro`, from the top: the first is the session's own, the others are lowers. */
function branches(value: string, union: Union): string[] {
  const [first = "", ...others] = value.split(":").map((branch) => branch.replace(/=(?:rw|ro|rr|nfsro)\b.*$/, ""));
  if (first !== dirname(union.upper) && first !== union.upper)
    throw new UserError("config", `union-mount-options: the topmost branch is ${first}, not the session's own`, {
      hint: "begin with ${CHROOT_UNION_OVERLAY_DIRECTORY}",
    });
  return others;
}
