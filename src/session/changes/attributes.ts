import { E } from "../../kernel/abi/errno.ts";
import { fail, type Name } from "../../kernel/at.ts";
import { attributeName, getXattr, listXattrs, listXattrsOf, listXattrsOfFd } from "../../kernel/io.ts";
import type { Entry } from "./content.ts";

/** An entry whose extended attributes are to be read; `prefix` is of those that its layer keeps to itself. */
export interface AttributeSource extends Entry {
  readonly prefix: Name | undefined;
  /** All names, where they are known already. */
  readonly attributes?: AttributeNames | undefined;
}

/** All names, those that a layer keeps to itself too; or that the file system has no such thing. */
export type AttributeNames = readonly Name[] | "none possible";

const list = Buffer.alloc(65536);
const value = Buffer.alloc(65536);

/**
 * Which extended attributes differ. Marks of the layer aren't compared; those that a union above it wrote are, by the
 * names that it gave them.
 */
export function differingAttributes(before: AttributeSource, after: AttributeSource): Name[] {
  const now = namesOf(after);
  // A file system that has none can't say what was changed.
  if (now === "none possible") return [];
  const was = namesOf(before);
  const names = was === "none possible" ? [] : was;
  if (names.length === 0 && now.length === 0) return [];
  const all = [...new Set([...names, ...now])].toSorted();
  return all.filter((name) => {
    if (!names.includes(name) || !now.includes(name)) return true;
    return valueOf(before, name)?.equals(valueOf(after, name) ?? value) !== true;
  });
}

const nested = "overlay.";

function namesOf({ fd, name, prefix, attributes }: AttributeSource): AttributeNames {
  const names = attributes ?? attributesOf(fd, name);
  if (names === "none possible" || names.length === 0 || prefix === undefined) return names;
  const known = shown.get(names);
  if (known?.prefix === prefix) return known.names;
  const visible = names
    .filter((attribute) => !attribute.startsWith(prefix) || attribute.startsWith(prefix + nested))
    .map((attribute) =>
      attribute.startsWith(prefix) ? prefix + attribute.slice(prefix.length + nested.length) : attribute,
    );
  shown.set(names, { prefix, names: visible });
  return visible;
}

/** What of a list shows, which attributesOf() gives for many files. */
const shown = new WeakMap<readonly Name[], { readonly prefix: Name; readonly names: readonly Name[] }>();

/** The names of the extended attributes of an entry, of an open directory itself with an empty name. */
export function attributesOf(fd: number, name: Name): AttributeNames {
  let length = name === "" ? listXattrsOfFd(fd, list) : listXattrsOf(fd, name, list);
  if (length === -E.BADF) length = listXattrs(fd, name, list); // opened as O_PATH
  if (length === 0) return none;
  if (length === -E.OPNOTSUPP) return "none possible";
  if (length < 0) return fail("listxattr", name, length);
  const text = list.toString("latin1", 0, length - 1);
  const known = lists.get(text);
  if (known !== undefined) return known;
  const names = text.split("\0");
  if (lists.size < 64) lists.set(text, names);
  return names;
}

const none: readonly Name[] = [];

/** Of a tree's files nearly all have one of a few lists. */
const lists = new Map<string, readonly Name[]>();

/** The value under the name that it shows; undefined where it has just gone. */
function valueOf({ fd, name, prefix }: AttributeSource, attribute: Name): Buffer | undefined {
  const stored =
    prefix !== undefined && attribute.startsWith(prefix) ? prefix + nested + attribute.slice(prefix.length) : attribute;
  const length = getXattr(fd, name, attributeName(stored), value);
  if (length === -E.NODATA) return undefined;
  return length < 0 ? fail("getxattr", name, length) : Buffer.from(value.subarray(0, length));
}
