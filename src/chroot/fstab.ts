import { badLine, dataLines } from "./lines.ts";

/** One line of a profile's fstab: what is mounted where in the session. */
export interface FstabLine {
  /** A device, a directory of the host's, or a word such as `proc` that only names the mount. */
  readonly source: string;
  /** Absolute, in the session's own root. */
  readonly target: string;
  /** `none` where the options have `bind` or `rbind`; else as /proc/filesystems names it. */
  readonly type: string;
  readonly options: readonly string[];
  readonly file: string;
  readonly line: number;
}

/**
 * Parses fstab(5)'s format, in the order of the lines. The last three fields may be missing.
 * @param file for messages and for the lines
 * @throws {UserError} config, at the first bad line
 */
export function parseFstab(text: string, file: string): FstabLine[] {
  return dataLines(text, file).map(({ fields, line }) => {
    const [source, target, type, options = "defaults", ...numbers] = fields.map(decode);
    if (source === undefined || target === undefined || type === undefined) {
      throw badLine(file, line, "a line is SOURCE TARGET TYPE OPTIONS", "see fstab(5)");
    }
    if (numbers.length > 2 || !numbers.every((number) => number === "0" || /^\d+$/.test(number))) {
      throw badLine(file, line, "only two numbers may follow the options", "white space in a path is written \\040");
    }
    if (!target.startsWith("/") || isBroken(source + target)) {
      throw badLine(file, line, `${JSON.stringify(target)} isn't an absolute path in UTF-8`);
    }
    return { source, target, type, options: options.split(",").filter((option) => option !== ""), file, line };
  });
}

function isBroken(text: string): boolean {
  return text.includes("\0") || text.includes("\uFFFD");
}

/** White space and backslashes are written as three octal digits, and so may be every other byte. */
function decode(field: string): string {
  if (!field.includes("\\")) return field;
  return field.replace(/(?:\\[0-3][0-7]{2})+/g, (run) => {
    const bytes = run.split("\\").slice(1);
    return Buffer.from(bytes.map((digits) => Number.parseInt(digits, 8))).toString("utf8");
  });
}
