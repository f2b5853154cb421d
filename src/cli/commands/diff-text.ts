import type { SessionDiff, ShownChange, ToldChange } from "../../session/changes/diff.ts";
import type { PackageChange } from "../../session/changes/packages.ts";
import type { FilePatch } from "../../session/changes/patch/patch.ts";
import { arePlain, quotePath } from "../../session/changes/diff.ts";

const letters: Readonly<Record<ShownChange["change"], string>> = {
  added: "A",
  modified: "M",
  deleted: "D",
  renamed: "R",
  type: "T",
};

type Listed = Pick<SessionDiff, "changes" | "packages" | "timesOnly">;
type OneByOne = Omit<Listed, "changes"> & { readonly changes: Iterable<ToldChange> };

/** One line for each change, then what they mean for packages, then how many there are. */
export function listText({ changes, packages, timesOnly }: OneByOne, isQuiet: boolean): string {
  const counts = noCounts();
  let lines = "";
  for (const change of changes) {
    lines += `${changeLine(change)}\n`;
    counts[change.change]++;
  }
  const about = packages.map((one) => `${packageLine(one)}\n`).join("");
  const blocks = [lines, about, isQuiet ? "" : `${countLine(counts, timesOnly)}\n`];
  return blocks.filter((block) => block !== "").join("\n");
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
  const counts = noCounts();
  for (const { change } of changes) counts[change]++;
  const lines = [...shown.map(changeLine), ...rest, ...about, countLine(counts, timesOnly)];
  return lines.map((line) => `${line}\n`).join("");
}

export function changeLine(shown: ToldChange): string {
  const { change, path, from, runsLater } = shown;
  const details = detailsOf(shown);
  const what = from === undefined ? path : `${from} -> ${path}`;
  const later = runsLater === undefined ? "" : `  [runs later: ${runsLater}]`;
  return `${letters[change]} ${what}${details === "" ? "" : `  ${details}`}${later}`;
}

function detailsOf(shown: ToldChange): string {
  const { linkTo } = shown;
  const details = ownDetails(shown);
  if (linkTo === undefined) return details;
  return details === "" ? `= ${linkTo}` : `${details}, = ${linkTo}`;
}

function ownDetails(shown: ToldChange): string {
  const { change, aspects } = shown;
  if (change === "type") return `${shown.before?.type} -> ${shown.after?.type}`;
  if (change === "added" || change === "deleted") {
    const type = (shown.after ?? shown.before)?.type ?? "file";
    return type === "file" ? "" : type;
  }
  if (aspects === undefined || aspects.length === 0) return "";
  const known = same.get(aspects);
  if (known !== undefined) return known;
  const text = aspects.map((aspect) => aspectText(shown, aspect)).join(", ");
  if (!aspects.includes("mode") && !aspects.includes("owner")) same.set(aspects, text);
  return text;
}

/** What a list of aspects says that is the same for all which have it. */
const same = new WeakMap<readonly string[], string>();

function aspectText({ before, after }: ToldChange, aspect: string): string {
  if (aspect === "mode") return `mode ${before?.mode} -> ${after?.mode}`;
  if (aspect === "owner") return `owner ${before?.uid}:${before?.gid} -> ${after?.uid}:${after?.gid}`;
  return aspect.replace(/^xattr:/, "");
}

function packageLine({ what, name, architecture, from, to }: PackageChange): string {
  const versions = [from, to].filter((version) => version !== undefined).join(" -> ");
  return quotePath(`${what} ${name}${architecture === "" ? "" : `:${architecture}`} ${versions}`);
}

type Counts = Record<ShownChange["change"], number>;

function noCounts(): Counts {
  return { added: 0, modified: 0, deleted: 0, renamed: 0, type: 0 };
}

function countLine(counts: Counts, timesOnly: number): string {
  const named = [
    ["added", counts.added],
    ["modified", counts.modified],
    ["deleted", counts.deleted],
    ["renamed", counts.renamed],
    ["of another type", counts.type],
  ] as const;
  const words = named.filter(([, number]) => number > 0).map(([word, number]) => `${number} ${word}`);
  const times = timesOnly === 0 ? "" : `; ${timesOnly} ${timesOnly === 1 ? "directory" : "directories"} with new times`;
  return `${words.length === 0 ? "nothing changed" : words.join(", ")}${times}`;
}

/** As git prints it: a letter and one or two paths, with tabs and newlines or with NUL and as they are. */
export function nameStatusText(diff: SessionDiff, form: "quoted" | "nul"): Buffer {
  // In one piece, by which it is seen at once whether any path has to be quoted; before each change what ends the one before.
  const end = form === "nul" ? "\0" : "\0\0";
  let words = "";
  diff.eachBriefly((change, path, from) => {
    const paths = from === undefined ? path : `${from}\0${path}`;
    words = `${words}${lead[form][change]}${paths}`;
  });
  words = words === "" ? "" : words.slice(end.length) + end;
  if (form === "nul") return Buffer.from(words, "latin1");
  if (arePlain(words)) return Buffer.from(words.replaceAll("\0\0", "\n").replaceAll("\0", "\t"), "latin1");
  const lines = words.split("\0\0").slice(0, -1);
  return Buffer.from(lines.map((line) => `${line.split("\0").map(quotePath).join("\t")}\n`).join(""));
}

const lead = {
  quoted: { added: "\0\0A\0", modified: "\0\0M\0", deleted: "\0\0D\0", renamed: "\0\0R\0", type: "\0\0T\0" },
  nul: { added: "\0A\0", modified: "\0M\0", deleted: "\0D\0", renamed: "\0R\0", type: "\0T\0" },
} as const;

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
  const others = diff.count - files;
  const rest = others > 0 ? `, ${others} other ${others === 1 ? "change" : "changes"} (fallthru diff lists them)` : "";
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

/**
 * Of a patch for a terminal what fits on a screen of so many lines, and how many more there are.
 * @param all what is typed to see all of it
 */
export function patchScreen(patch: Buffer, rows: number, all: string): Buffer {
  // What asks next takes a line, too.
  const room = Math.max(1, rows - 2);
  let [lines, end] = [0, 0];
  for (let at = patch.indexOf(10); at >= 0; at = patch.indexOf(10, at + 1)) if (++lines === room) end = at + 1;
  const more = lines - room;
  if (more < 2) return patch;
  return Buffer.concat([patch.subarray(0, end), Buffer.from(`… and ${more} more lines (${all} shows all of it)\n`)]);
}

/** A terminal obeys what it is shown, and shows some letters in another order. */
function harmless(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    if (char === "\n" || char === "\t") return char;
    const code = char.codePointAt(0) ?? 0;
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}
