import { type Name, stat, statName, unlinkName } from "../kernel/at.ts";
import { listDirectory } from "../kernel/io.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import { type Core } from "./core.ts";
import { resolveOrigin } from "./origin.ts";

/**
 * The index directory: for each lower inode with several names that was copied up, its upper inode under the name
 * of the lower one's handle, so that a further lower name finds it.
 */
export class HardLinkIndex {
  readonly directory: LayerDirectory;
  readonly #byIno = new Map<number, { readonly name: Name; readonly upperIno: number }>();

  constructor(directory: LayerDirectory) {
    this.directory = directory;
  }

  get fd(): number {
    return this.directory.fd;
  }

  get(lowerIno: number): { readonly name: Name; readonly upperIno: number } | undefined {
    return this.#byIno.get(lowerIno);
  }

  set(lowerIno: number, name: Name, upperIno: number): void {
    this.#byIno.set(lowerIno, { name, upperIno });
  }

  delete(lowerIno: number): void {
    this.#byIno.delete(lowerIno);
  }

  /** Reads what is there; entries that nothing but the index knows any more are removed. */
  load(core: Pick<Core, "inoSpace" | "fileSystems">, statUpperIno: () => number): void {
    const names: Name[] = [];
    listDirectory(this.fd, (name) => {
      if (/^[0-9a-f]{42,510}$/.test(name)) names.push(name);
    });
    for (const name of names) {
      const origin = resolveOrigin(core, Buffer.from(name, "hex"));
      if (statName(this.fd, name) !== 0 || stat.isWhiteoutDevice) continue;
      if (origin === undefined) {
        if (stat.nlink === 1) unlinkName(this.fd, name);
      } else {
        this.set(origin.ino, name, statUpperIno());
      }
    }
  }
}
