import { readFileSync } from "node:fs";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { isRegularFile, readDirectory, statAt, unlinkAt } from "../../kernel/file.ts";
import { copyInto, openParent, readInside } from "../../layer/inside.ts";
import type { AptSettings } from "./host.ts";
import { hasOneLineSources } from "./sources.ts";

/** Where a chroot's own apt finds what its host's was told, after the defaults of packages. */
const keptFile = "etc/apt/apt.conf.d/80fallthru-host";
const temporaryFile = "etc/apt/apt.conf.d/81fallthru-making";
const loginFile = (index: number) => `etc/apt/auth.conf.d/fallthru-making-${index}.conf`;

/** Both programs leave what is in the directory alone; apt, which mmdebstrap runs from outside, reads it. */
export function layAptFiles(root: Fd, { kept, temporary, logins }: AptSettings): void {
  const comment = "// How the host's apt reached archives when this chroot was made.";
  if (kept.length > 0) write(root, keptFile, `${[comment, ...kept].join("\n")}\n`);
  if (temporary.length > 0) write(root, temporaryFile, `${temporary.join("\n")}\n`, 0o600);
  for (const [index, login] of logins.entries()) write(root, loginFile(index), login, 0o600);
}

/** Also the copy of the host's resolv.conf that both programs leave. */
export function removeTemporary(root: Fd, { logins }: AptSettings): void {
  const files = [temporaryFile, ...logins.map((_, index) => loginFile(index)), "etc/resolv.conf"];
  for (const file of files) {
    using dir = openParent(root, file);
    const name = file.slice(file.lastIndexOf("/") + 1);
    const attr = unless(["ENOENT"], () => statAt(dir, name));
    if (attr !== undefined && isRegularFile(attr)) unlinkAt(dir, name);
  }
}

/** What debootstrap leaves there has only the one archive that it used; and it leaves the packages that it fetched. */
export function replaceSources(root: Fd, text: string): void {
  const isOneLine = hasOneLineSources(text);
  write(root, "etc/apt/sources.list", isOneLine ? text : "# See sources.list.d/.\n");
  if (!isOneLine) write(root, "etc/apt/sources.list.d/0000main.sources", text);
  using archives = openParent(root, "var/cache/apt/archives/x");
  const fetched = [...readDirectory(archives)].filter(({ name }) => name.toString("latin1").endsWith(".deb"));
  for (const { name } of fetched) unlinkAt(archives, name);
}

function write(root: Fd, path: string, content: string | Buffer, mode = 0o644): void {
  copyInto(root, path, Buffer.from(content), { mode, uid: 0, gid: 0, mtimeNs: BigInt(Date.now()) * 1_000_000n });
}

/** The host's keyrings that the sources name and no package has brought. */
export function copyKeyring(root: Fd, keyring: string): void {
  const content = unless(["ENOENT"], () => readFileSync(keyring));
  if (content !== undefined && readInside(root, keyring) === undefined) write(root, keyring, content);
}
