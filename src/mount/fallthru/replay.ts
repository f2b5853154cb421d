import type { KnownInodes, KnownName } from "../../union/known.ts";
import { Names, RECORD } from "./names.ts";

/** An open file, and how it reaches its data: see OpenModes. */
export interface KnownFile {
  readonly nodeid: number;
  /** Of open(2). */
  readonly flags: number;
  /** 0: cached. */
  readonly backingId: number;
}

/** What the kernel knows, as a journal tells it. */
export interface Replay {
  /** The caller's from now on. */
  readonly inodes: KnownInodes;
  /** What stands at a name: also at those of a file that has several. */
  readonly at: (parent: number, name: string) => KnownName | undefined;
  /** By the upper's own numbers, the st_inos of files that have come from below. */
  readonly origins: ReadonlyMap<number, number>;
  /** By handle. */
  readonly files: ReadonlyMap<number, KnownFile>;
  /** The file whose opening is the last record: whoever opened it may not have been told. */
  readonly lastOpened: number | undefined;
}

/** Goes through the records of a journal, one after the other. @param bank holds them as long as the names are used */
export function replay(bank: Buffer, length: number): Replay {
  const names = new Names(bank, length);
  const { view } = names;
  const files = new Map<number, KnownFile>();
  const origins = new Map<number, number>();
  let lastOpened: number | undefined;
  for (let at = 0; at < length;) {
    const kind = view.getUint8(at);
    const first = view.getFloat64(at + 1, true);
    at += 9;
    lastOpened = undefined;
    if (kind === RECORD.PLACE || kind === RECORD.PLACE_DIRECTORY) {
      const name = at + 16;
      const ino = view.getFloat64(at + 8, true);
      names.place(first, view.getFloat64(at, true), name, ino, kind === RECORD.PLACE_DIRECTORY);
      at = names.endOf(name);
    } else if (kind === RECORD.MOVE) {
      const [newParent, isExchange] = [view.getFloat64(at, true), view.getUint8(at + 8) === 1];
      const name = at + 9;
      const newName = names.endOf(name);
      names.move(first, name, newParent, newName, isExchange);
      at = names.endOf(newName);
    } else if (kind === RECORD.REMOVE) {
      names.remove(first, at);
      at = names.endOf(at);
    } else if (kind === RECORD.FORGET) {
      names.forget(first);
    } else if (kind === RECORD.OPEN) {
      const nodeid = view.getFloat64(at, true);
      files.set(first, { nodeid, flags: view.getInt32(at + 8, true), backingId: view.getUint32(at + 12, true) });
      lastOpened = first;
      at += 16;
    } else if (kind === RECORD.ORIGIN) {
      const ino = view.getFloat64(at, true);
      if (ino === 0) origins.delete(first);
      else origins.set(first, ino);
      at += 8;
    } else if (kind === RECORD.CLOSE) {
      files.delete(first);
    } else {
      throw new Error(`the journal has a record of kind ${String(kind)} at ${at - 9}`);
    }
  }
  return { inodes: names, at: (parent, name) => names.at(parent, name), origins, files, lastOpened };
}
