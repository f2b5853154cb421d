import { E } from "../../kernel/abi/errno.ts";
import { fail, type Name, nameIn } from "../../kernel/at.ts";
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
export function differingAttributes(before: AttributeSource, after: AttributeSource): readonly Name[] {
  const now = namesOf(after);
  // A file system that has none can't say what was changed.
  if (now === "none possible") return none;
  const was = namesOf(before);
  const names = was === "none possible" ? none : was;
  return names.length === 0 && now.length === 0 ? none : differingIn(before, names, after, now);
}

/** Apart, as each call of a function in which another one keeps its variables makes an object for them: of most files this isn't asked. */
function differingIn(
  before: AttributeSource,
  names: readonly Name[],
  after: AttributeSource,
  now: readonly Name[],
): readonly Name[] {
  const all = [...new Set([...names, ...now])].toSorted();
  return all.filter((name) => {
    if (!names.includes(name) || !now.includes(name)) return true;
    return valueOf(before, name)?.equals(valueOf(after, name) ?? value) !== true;
  });
}

const nested = "overlay.";

/** Its directory is asked for only where it has to be open for that: see OpenLater of walk.ts. */
function namesOf(source: AttributeSource): AttributeNames {
  const names = source.attributes ?? attributesOf(source.fd, source.name);
  const { prefix } = source;
  if (names === "none possible" || names.length === 0 || prefix === undefined) return names;
  const known = shown.get(names);
  return known?.prefix === prefix ? known.names : showIn(names, prefix);
}

function showIn(names: readonly Name[], prefix: Name): readonly Name[] {
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
  const text = nameIn(list, 0, length - 1);
  const known = lists.get(text);
  if (known !== undefined) return known;
  const names = text.split("\0");
  if (lists.size < 16) lists.set(text, names);
  return names;
}

const none: readonly Name[] = [];

/** Of a tree's files nearly all have one of a few lists: none is taken apart twice. */
const lists = new Map<Name, readonly Name[]>();

/** The value under the name that it shows; undefined where it has just gone. */
function valueOf({ fd, name, prefix }: AttributeSource, attribute: Name): Buffer | undefined {
  const stored =
    prefix !== undefined && attribute.startsWith(prefix) ? prefix + nested + attribute.slice(prefix.length) : attribute;
  const length = getXattr(fd, name, attributeName(stored), value);
  if (length === -E.NODATA) return undefined;
  return length < 0 ? fail("getxattr", name, length) : Buffer.from(value.subarray(0, length));
}
