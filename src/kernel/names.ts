/** node:path's dirname() and basename(), which cost a start 0.6 ms with all that comes with them. */

/** The path of the directory that a path's last name is in. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/", endOf(path) - 1);
  if (slash < 0) return ".";
  if (slash === 0) return "/";
  return slash === 1 && path.startsWith("/") ? "//" : path.slice(0, slash);
}

/** A path's last name. */
export function nameOf(path: string): string {
  const end = endOf(path);
  return end === 0 ? "" : path.slice(path.lastIndexOf("/", end - 1) + 1, end);
}

/** Where its last name ends: slashes behind it don't count, but for those that are all there is. */
function endOf(path: string): number {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end--;
  return end;
}
