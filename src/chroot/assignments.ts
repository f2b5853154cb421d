import { badLine } from "./lines.ts";

/** Variables by which schroot-script-config(5) chooses a profile's files. Those without SETUP_ are the older names. */
const names = ["FSTAB", "COPYFILES", "NSSDATABASES", "SETUP_FSTAB", "SETUP_COPYFILES", "SETUP_NSSDATABASES"] as const;
export type SetupVariable = (typeof names)[number];

/**
 * The assignments to these variables in a shell file, which isn't run: everything else in it is passed over, and a
 * value that only a shell could tell is an error.
 * @throws {UserError} config, with file and line
 */
export function parseAssignments(text: string, file: string): Map<SetupVariable, string> {
  const found = new Map<SetupVariable, string>();
  for (const [index, line] of text.split("\n").entries()) {
    const match = /^(\s*)(?:export\s+)?([A-Z_]+)=(.*)$/.exec(line.trimEnd());
    const name = names.find((known) => known === match?.[2]);
    if (match === null || name === undefined) continue;
    const value = /^(?:"([^"$`\\]*)"|'([^']*)'|([^"'$`\\\s;&|<>()]*))\s*(?:#.*)?$/.exec(match[3] ?? "");
    if (value === null || match[1] !== "") {
      const key = `setup.${name.replace("SETUP_", "").toLowerCase()}`;
      const hint = `shell files aren't run: name the file with ${key}=FILE in the chroot's description`;
      throw badLine(file, index + 1, `what ${name} becomes here can't be told`, hint);
    }
    found.set(name, value[1] ?? value[2] ?? value[3] ?? "");
  }
  return found;
}
