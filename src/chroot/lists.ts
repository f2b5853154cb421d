import { badLine, dataLines } from "./lines.ts";

/** A file of the host's, and where the session gets a copy of it. Both are absolute. */
export interface CopyFile {
  readonly from: string;
  readonly to: string;
}

/** A database of nsswitch.conf(5)'s that is made /etc/NAME in the session. */
export interface NssDatabase {
  readonly name: string;
  /** Whether the chroot's own entries stay: `merge` adds the host's to them, `replace` puts the host's in their place. */
  readonly mode: "merge" | "replace";
}

/**
 * Parses a profile's copyfiles: a path, or a source and a destination, on each line.
 * @throws {UserError} config, at the first bad line
 */
export function parseCopyFiles(text: string, file: string): CopyFile[] {
  const copies = new Map<string, CopyFile>();
  for (const { fields, line } of dataLines(text, file)) {
    const [from = "", to = from, ...more] = fields;
    if (more.length > 0) throw badLine(file, line, "a line is SOURCE [DESTINATION]");
    for (const path of [from, to]) {
      if (!path.startsWith("/")) throw badLine(file, line, `${JSON.stringify(path)} isn't an absolute path`);
    }
    // Debian's buildd profile names a file twice. The last copy to a place is the one that would stay.
    copies.delete(to);
    copies.set(to, { from, to });
  }
  return [...copies.values()];
}

/**
 * Parses a profile's nssdatabases: a name on each line, and behind it, which is our extension, `merge` (the default)
 * or `replace`.
 * @throws {UserError} config, at the first bad line
 */
export function parseNssDatabases(text: string, file: string): NssDatabase[] {
  const databases = new Map<string, NssDatabase>();
  for (const { fields, line } of dataLines(text, file)) {
    const [name = "", mode = "merge", ...more] = fields;
    // It becomes a file's name in /etc.
    if (!/^[a-z][a-z0-9_-]*$/.test(name)) throw badLine(file, line, `${JSON.stringify(name)} isn't a database`);
    if (more.length > 0 || (mode !== "merge" && mode !== "replace")) {
      throw badLine(file, line, "a line is DATABASE [merge|replace]");
    }
    databases.set(name, { name, mode });
  }
  return [...databases.values()];
}
