import { O } from "../../kernel/abi/file.ts";
import { closeFd, type Name, openName } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { listDirectory } from "../../kernel/io.ts";
import { OverlayDialect, readMark } from "../../layer/dialect/overlay.ts";

const [DT_DIR, DT_REG] = [4, 8];

/** The files of an upper that have their attributes alone, each as the names from the upper's top. */
export function* findMetacopies(upper: Fd): Generator<readonly Name[]> {
  const marks = (["trusted.overlay.", "user.overlay."] as const).map(
    (prefix) => new OverlayDialect(prefix).marks.metacopy,
  );
  const waiting: Name[][] = [[]];
  for (let names = waiting.pop(); names !== undefined; names = waiting.pop()) {
    const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.NOATIME;
    const directory = openName(upper.number, names.length === 0 ? "." : names.join("/"), flags);
    if (directory < 0) continue;
    const files: Name[] = [];
    listDirectory(directory, (name, _high, _low, type) => {
      if (type === DT_REG) files.push(name);
      else if (type === DT_DIR && name !== "." && name !== "..") waiting.push([...names, name]);
    });
    const found = files.filter((name) => marks.some((mark) => readMark(directory, name, mark) !== undefined));
    closeFd(directory);
    for (const name of found) yield [...names, name];
  }
}
