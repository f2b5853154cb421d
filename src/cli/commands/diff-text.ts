import type { SessionDiff, ShownChange } from "../../session/changes/diff.ts";
import type { PackageChange } from "../../session/changes/packages.ts";
import type { FilePatch } from "../../session/changes/patch/patch.ts";
import { quotePath } from "../../session/changes/diff.ts";

const letters: Readonly<Record<ShownChange["change"], string>> = {
  added: "A",
  modified: "M",
  deleted: "D",
  renamed: "R",
  type: "T",
};

type Listed = Pick<SessionDiff, "changes" | "packages" | "timesOnly">;

/** One line for each change, then what they mean for packages, then how many there are. */
export function listText({ changes, packages, timesOnly }: Listed, isQuiet: boolean): string {
  const lines = changes.map(changeLine);
  const about = packages.map(packageLine);
  const counts = isQuiet ? [] : [countLine(changes, timesOnly)];
  return [lines, about, counts]
    .filter((block) => block.length > 0)
    .map((block) => block.map((line) => `${line}\n`).join(""))
    .join("\n");
}

/**
 * The same in so many lines, if it can be: what was deleted is shown in any case, and of the rest what there is room for.
 */
export function screenText({ changes, packages, timesOnly }: Listed, rows: number): string {
  const about = packages.map(packageLine);
  const isShown = (change: ShownChange): boolean => change.change === "deleted" || change.change === "type";
  const room = rows - about.length - 3;
  let left = changes.length <= room ? changes.length : room - changes.filter(isShown).length - 1;
  const shown = changes.filter((change) => isShown(change) || left-- > 0);
  const more = changes.length - shown.length;
  const rest = more === 0 ? [] : [`… and ${more} more, none of them deleted`];
  const lines = [...shown.map(changeLine), ...rest, ...about, countLine(changes, timesOnly)];
  return lines.map((line) => `${line}\n`).join("");
}

export function changeLine(change: ShownChange): string {
  const { path, from, runsLater } = change;
  const details = detailsOf(change);
  const words = [
    letters[change.change],
    from === undefined ? path : `${from} -> ${path}`,
    ...(details.length === 0 ? [] : [` ${details.join(", ")}`]),
    ...(runsLater === undefined ? [] : [` [runs later: ${runsLater}]`]),
  ];
  return words.join(" ");
}

function detailsOf({ change, before, after, aspects = [], linkTo }: ShownChange): string[] {
  const link = linkTo === undefined ? [] : [`= ${linkTo}`];
  if (change === "type") return [`${before?.type} -> ${after?.type}`, ...link];
  const type = (after ?? before)?.type ?? "file";
  if (change === "added" || change === "deleted") return [...(type === "file" ? [] : [type]), ...link];
  const words = aspects.map((aspect) => {
    if (aspect === "mode") return `mode ${before?.mode} -> ${after?.mode}`;
    if (aspect === "owner") return `owner ${before?.uid}:${before?.gid} -> ${after?.uid}:${after?.gid}`;
    return aspect.replace(/^xattr:/, "");
  });
  return [...words, ...link];
}

function packageLine({ what, name, architecture, from, to }: PackageChange): string {
  const versions = [from, to].filter((version) => version !== undefined).join(" -> ");
  return quotePath(`${what} ${name}${architecture === "" ? "" : `:${architecture}`} ${versions}`);
}

function countLine(changes: readonly ShownChange[], timesOnly: number): string {
  const count = (kind: ShownChange["change"]): number => changes.filter(({ change }) => change === kind).length;
  const named = [
    ["added", count("added")],
    ["modified", count("modified")],
    ["deleted", count("deleted")],
    ["renamed", count("renamed")],
    ["of another type", count("type")],
  ] as const;
  const words = named.filter(([, number]) => number > 0).map(([word, number]) => `${number} ${word}`);
  const times = timesOnly === 0 ? "" : `; ${timesOnly} ${timesOnly === 1 ? "directory" : "directories"} with new times`;
  return `${words.length === 0 ? "nothing changed" : words.join(", ")}${times}`;
}

/** As git prints it: a letter and one or two paths, with tabs and newlines or with NUL and as they are. */
export function nameStatusText({ briefly }: SessionDiff, form: "quoted" | "nul"): Buffer {
  if (form === "nul") {
    const words = briefly.flatMap(({ change, paths }) => [letters[change], ...paths]);
    return Buffer.from(words.map((word) => `${word}\0`).join(""), "latin1");
  }
  let lines = "";
  for (const { change, paths } of briefly) {
    lines += letters[change];
    for (const path of paths) lines += `\t${quotePath(path)}`;
    lines += "\n";
  }
  return Buffer.from(lines);
}

/** How many lines each file has more and less; of what isn't text, its sizes. */
export function statText(diff: SessionDiff): string {
  let [added, removed, files] = [0, 0, 0];
  const lines: string[] = [];
  const widest = 40;
  const rows = [...diff.patches()];
  const most = Math.max(1, ...rows.map((row) => row.added + row.removed));
  const digits = String(most).length;
  for (const row of rows) {
    files++;
    [added, removed] = [added + row.added, removed + row.removed];
    const name = row.from === undefined ? quotePath(row.path) : `${quotePath(row.from)} => ${quotePath(row.path)}`;
    const scale = most > widest ? widest / most : 1;
    const bar = "+".repeat(Math.ceil(row.added * scale)) + "-".repeat(Math.ceil(row.removed * scale));
    const amount = `${String(row.added + row.removed).padStart(digits)}${bar === "" ? "" : ` ${bar}`}`;
    const what = row.binary === undefined ? amount : `Bin ${row.binary.before} -> ${row.binary.after} bytes`;
    lines.push(` ${name} | ${what}\n`);
  }
  const others = diff.briefly.length - files;
  const rest = others > 0 ? `, ${others} other changes (fallthru diff lists them)` : "";
  return `${lines.join("")} ${files} ${files === 1 ? "file" : "files"} changed, ${added} lines added, ${removed} removed${rest}\n`;
}

/** What a patch can't hold stands in lines that begin with #, where git apply and patch pass over them. */
export function patchText(patches: Iterable<FilePatch>, to: "terminal" | "file"): Buffer {
  const parts: string[] = [];
  for (const { path, text, notes, binary } of patches) {
    const sizes = binary === undefined ? [] : [`binary, ${binary.before} -> ${binary.after} bytes`];
    const all = [...sizes, ...notes];
    if (all.length > 0) parts.push(Buffer.from(`# ${quotePath(path)}: ${all.join(", ")}\n`).toString("latin1"));
    parts.push(text);
  }
  const patch = Buffer.from(parts.join(""), "latin1");
  return to === "file" ? patch : Buffer.from(harmless(patch.toString("utf8")));
}

/** A terminal obeys what it is shown, and shows some letters in another order. */
function harmless(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    if (char === "\n" || char === "\t") return char;
    const code = char.codePointAt(0) ?? 0;
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}
