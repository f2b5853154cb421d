import { readText } from "../../kernel/trusted.ts";
import { unless } from "../../kernel/error.ts";

/** Options and the module's parameters that say what an overlay has where its own don't. */
const parameters: Readonly<Record<string, string>> = {
  redirect_dir: "redirect_dir",
  index: "index",
  metacopy: "metacopy",
  xino: "xino_auto",
};

/**
 * What became of the options that makeOverlay() wants: some the kernel accepts and then does without, where a layer's
 * file system can't (`index` and `xino` need file handles). mountinfo shows those that aren't the module's default.
 * @param superOptions of the overlay's line in mountinfo
 */
export function takenOptions(superOptions: readonly string[]): string[] {
  const taken = Object.entries(parameters).map(([key, parameter]) => {
    const shown = superOptions.find((option) => option.startsWith(`${key}=`));
    return shown ?? `${key}=${isDefault(parameter) ? "on" : "off"}`;
  });
  const isVolatile = superOptions.includes("volatile") || superOptions.includes("fsync=volatile");
  const marks = superOptions.includes("userxattr") ? ["userxattr"] : [];
  return [...marks, ...taken, ...(isVolatile ? ["volatile"] : [])];
}

function isDefault(parameter: string): boolean {
  const path = `/sys/module/overlay/parameters/${parameter}`;
  return unless(["ENOENT"], () => readText(path))?.startsWith("Y") === true;
}
