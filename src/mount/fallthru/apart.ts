import { dirname } from "node:path";
import { O, S } from "../../kernel/abi/file.ts";
import { KernelError, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { makeDirectoryAt, makeNodeAt, openAt, readFile, readLinkAt, statAt, symlinkAt } from "../../kernel/file.ts";
import { isCompiled } from "../../kernel/libc.ts";
import { attachMount, cloneMount, makeMount } from "../../kernel/mount.ts";
import { inMountSpace } from "../../kernel/space.ts";

/**
 * Starts something in a mount name space of its own that has what our program and a shell need, and nothing else. A
 * process keeps its name space alive, and with it whatever is mounted there: a server in its caller's would keep its own
 * mount from ever ending with that name space. Where it can't be had (no privilege, or the program isn't one file), it
 * starts in the caller's.
 */
export function startApart<T>(start: () => T): T {
  if (!isCompiled()) return start();
  using made = new DisposableStack();
  let begun = false;
  try {
    const places = neededPlaces().map((path) => made.adopt(describe(path), (place) => place?.mount?.close()));
    const root = made.use(
      makeMount("tmpfs", [
        ["mode", "755"],
        ["size", "1m"],
      ]),
    );
    const fill = (): void => {
      for (const place of places) if (place !== undefined) put(root, place);
    };
    return inMountSpace(root, fill, () => {
      begun = true;
      return start();
    });
  } catch (error) {
    if (begun || !(error instanceof KernelError)) throw error;
    return start();
  }
}

/** Where the shell, this program and the libraries of both are; /proc for descriptors; the kernel's log. */
function neededPlaces(): string[] {
  const places = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/proc", "/dev/null", "/dev/kmsg", "/etc/ld.so.cache"];
  const isThere = (path: string): boolean => places.some((place) => path === place || path.startsWith(`${place}/`));
  const mapped = readFile("/proc/self/maps").toString("utf8");
  for (const [, path = ""] of mapped.matchAll(/ (\/.*)$/gm)) {
    const directory = dirname(path);
    if (!isThere(directory) && !path.startsWith("/memfd:") && !path.endsWith(" (deleted)")) places.push(directory);
  }
  const own = dirname(process.execPath);
  if (!isThere(own)) places.push(own);
  return places;
}

type Place = { readonly path: string } & (
  | { readonly kind: "link"; readonly target: Buffer; readonly mount?: undefined }
  | { readonly kind: "directory" | "file"; readonly mount: Fd }
);

function describe(path: string): Place | undefined {
  const attr = unless(["ENOENT"], () => statAt(null, path));
  if (attr === undefined) return undefined;
  const type = attr.mode & S.IFMT;
  if (type === S.IFLNK) return { path, kind: "link", target: readLinkAt(null, path) };
  // Whoever has no privilege in the name space's owner can't take a directory without what is mounted in it.
  const single = unless(["EINVAL"], () => cloneMount(null, path));
  return { path, kind: type === S.IFDIR ? "directory" : "file", mount: single ?? cloneMount(null, path, "recursive") };
}

function put(root: Fd, place: Place): void {
  const names = place.path.slice(1).split("/");
  const last = names.pop() ?? "";
  using parent = names.reduce(
    (directory, name) => {
      using above = directory;
      unless(["EEXIST"], () => makeDirectoryAt(above, name, 0o755));
      return openAt(above, name, O.PATH | O.DIRECTORY | O.NOFOLLOW);
    },
    openAt(root, ".", O.PATH | O.DIRECTORY),
  );
  if (place.kind === "link") {
    symlinkAt(place.target, parent, last);
    return;
  }
  if (place.kind === "directory") unless(["EEXIST"], () => makeDirectoryAt(parent, last, 0o755));
  else makeNodeAt(parent, last, S.IFREG | 0o644);
  using target = openAt(parent, last, O.PATH | O.NOFOLLOW);
  attachMount(place.mount, target);
}
