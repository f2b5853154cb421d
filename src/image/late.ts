import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { pathText } from "../kernel/libc.ts";
import { readInside } from "../layer/inside.ts";
import { encodeAcl, type NameTable, nameTable } from "./acl.ts";
import { applyAttributes, AttributeProblem, setAttribute } from "./attributes.ts";
import { type InnerPath, openInside, pathBytes, PathProblem, splitPath } from "./parent.ts";
import type { TarHeader } from "./tar/entry.ts";

const accessAcl = "system.posix_acl_access";
const defaultAcl = "system.posix_acl_default";

/**
 * What must wait until all is in place: the attributes of directories, because what is put into them changes
 * their times and takes over their default ACL, and ACLs as text, because the names in them are those of the
 * root's own passwd and group.
 */
export class LateAttributes {
  readonly #directories = new Map<InnerPath, TarHeader>();
  readonly #acls = new Map<InnerPath, TarHeader["acl"]>();

  /** An entry as it is unpacked; it replaces what an earlier one of this name said. */
  note(path: InnerPath, header: TarHeader): void {
    this.#directories.delete(path);
    this.#acls.delete(path);
    if (header.kind === "directory") this.#directories.set(path, header);
    const hasAcl = header.acl.access !== undefined || header.acl.default !== undefined;
    if (!hasAcl || header.kind === "symlink" || header.kind === "hardlink") return;
    // The attribute itself, where the archive has it too, has numbers and needs no names.
    if (!header.xattrs.some(({ name }) => name.toString("latin1").startsWith("system.posix_acl_"))) {
      this.#acls.set(path, header.acl);
    }
  }

  /** @param explain turns an error into the one to be thrown */
  apply(root: Fd, explain: (error: unknown, path: string) => unknown): void {
    const attempt = (path: InnerPath, task: () => void) => {
      try {
        task();
      } catch (error) {
        throw explain(error, path === "" ? "." : pathText(pathBytes(path)));
      }
    };
    if (this.#acls.size > 0) {
      const names = nameTable(readInside(root, "etc/passwd"), readInside(root, "etc/group"));
      for (const [path, acl] of this.#acls) attempt(path, () => applyAcl(root, path, acl, names));
    }
    for (const [path, header] of this.#directories) attempt(path, () => applyDirectory(root, path, header));
  }
}

function applyAcl(root: Fd, path: InnerPath, acl: TarHeader["acl"], names: NameTable): void {
  const { parent, base } = splitPath(path);
  using dir = openInside(root, parent);
  const name = path === "" ? Buffer.from(".") : base;
  for (const [attribute, text] of [
    [accessAcl, acl.access],
    [defaultAcl, acl.default],
  ] as const) {
    if (text === undefined) continue;
    const value = encodeAcl(text, names);
    if ("problem" in value) {
      throw new AttributeProblem(
        "data",
        `its ACL has ${JSON.stringify(value.problem)}, which the root's own users and groups don't explain`,
        {
          hint: "pack it with tar --xattrs --xattrs-include='*' instead of --acls: that keeps numbers",
        },
      );
    }
    setAttribute(dir, name, { name: Buffer.from(attribute), value });
  }
}

function applyDirectory(root: Fd, path: InnerPath, header: TarHeader): void {
  // A later entry may have taken its place, or that of a directory above it.
  const opened = unless(["ENOENT"], () => openDirectoryItself(root, path));
  if (opened === undefined) return;
  using dir = opened;
  applyAttributes(dir, ".", header, "other");
}

function openDirectoryItself(root: Fd, path: InnerPath): Fd | undefined {
  try {
    return openInside(root, path, O.RDONLY | O.NOFOLLOW);
  } catch (error) {
    if (error instanceof PathProblem) return undefined;
    throw error;
  }
}
