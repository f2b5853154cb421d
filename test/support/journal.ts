// What a journal of a union's server is held against.
import { isDeepStrictEqual } from "node:util";
import type { Fd } from "../../src/kernel/fd.ts";
import { mapFile } from "../../src/kernel/memory.ts";
import type { Journal } from "../../src/mount/fallthru/journal.ts";
import type { KnownName, Shown } from "../../src/union/known.ts";
import { random } from "./changes.ts";

const NODEIDS = 40;

/** Names and inodes in the plainest way, of which only one may be at a name. */
export class Model {
  /** By nodeid, the one told last behind. */
  readonly names = new Map<number, string[]>();
  readonly accessTimes = new Map<number, number>();
  readonly changeTimes = new Map<number, Shown>();

  place(nodeid: number, at: string): void {
    const names = this.names.get(nodeid) ?? [];
    if (!names.includes(at)) names.push(at);
    this.names.set(nodeid, names);
  }

  take(at: string): number | undefined {
    for (const [nodeid, names] of this.names) {
      if (!names.includes(at)) continue;
      names.splice(names.indexOf(at), 1);
      return nodeid;
    }
    return undefined;
  }

  /** How many names there are, and inodes without any. */
  get size(): number {
    return [...this.names.values()].reduce((sum, names) => sum + Math.max(1, names.length), 0);
  }

  has(at: string): boolean {
    return [...this.names.values()].some((names) => names.includes(at));
  }
}

export interface Operation {
  readonly kind: "place" | "move" | "remove" | "forget" | "shrink" | "time";
  readonly run: (journal: Journal) => void;
}

/** Operations without end on few names, so that they meet; each is done on the model when the next is asked for. */
export function* operations(seed: number, model: Model): Generator<Operation, never, undefined> {
  const number = random(seed);
  const name = (): [number, string] => [1 + number(3), `n${"x".repeat(number(30))}`];
  for (;;) {
    const [[parent, from], [newParent, to]] = [name(), name()];
    const nodeid = 2 + number(NODEIDS) + (number(2) === 0 ? 2 ** 33 : 0);
    const [at, newAt] = [`${parent}/${from}`, `${newParent}/${to}`];
    const kind = number(10);
    if (kind <= 2 && (!model.has(at) || model.names.get(nodeid)?.includes(at) === true)) {
      yield {
        kind: "place",
        run: (journal) => journal.place(nodeid, { parent, name: from, ino: nodeid + (nodeid % 2), isDirectory: false }),
      };
      model.place(nodeid, at);
    } else if (kind <= 4 && at !== newAt) {
      const isExchange = number(2) === 0;
      yield { kind: "move", run: (journal) => journal.move(parent, from, newParent, to, isExchange) };
      const [moved, other] = [model.take(at), model.take(newAt)];
      if (moved !== undefined) model.place(moved, newAt);
      if (isExchange && other !== undefined) model.place(other, at);
    } else if (kind === 5) {
      yield { kind: "remove", run: (journal) => journal.remove(parent, from) };
      model.take(at);
    } else if (kind === 6) {
      yield { kind: "forget", run: (journal) => journal.forget(nodeid) };
      model.names.delete(nodeid);
    } else if (kind === 7) {
      const time = number(3) * 1e15;
      yield { kind: "time", run: (journal) => journal.accessTime(nodeid, time) };
      if (time === 0) model.accessTimes.delete(nodeid);
      else model.accessTimes.set(nodeid, time);
    } else if (kind === 8) {
      const shown = number(4) === 0 ? undefined : shownAt(number);
      yield { kind: "time", run: (journal) => journal.changeTime(nodeid, shown) };
      if (shown === undefined) model.changeTimes.delete(nodeid);
      else model.changeTimes.set(nodeid, shown);
    } else if (number(20) === 0) {
      yield { kind: "shrink", run: (journal) => journal.shrink(0) };
    }
  }
}

function shownAt(number: (below: number) => number): Shown {
  // Few of them, so that only the ctime changes, too.
  const [at, mtime] = [number(2) * 1e9 - 1, number(2) * 1e9 + 7];
  const ctimeNsec = number(3) === 0 ? -1 : number(1e9);
  return { seconds: at, nsec: 123_456_789, ctime: number(2 ** 31), ctimeNsec, mtime, mtimeNsec: 987_654_321 };
}

/** What differs between a journal and the model of it: nothing. */
export function differences(journal: Journal, model: Model): string[] {
  const found: string[] = [];
  const nodeids = [2, 2 + 2 ** 33].flatMap((first) => Array.from({ length: NODEIDS }, (_, at) => first + at));
  for (const nodeid of nodeids) {
    const names = model.names.get(nodeid);
    if (journal.has(nodeid) !== (names !== undefined)) found.push(`${nodeid} is known: ${journal.has(nodeid)}`);
    const name = nameOf(journal.get(nodeid));
    if (name === undefined ? (names?.length ?? 0) > 0 : names?.includes(name) !== true)
      found.push(`${nodeid} is ${name ?? "nameless"}, not ${String(names)}`);
    for (const each of names ?? []) {
      const [parent, text = ""] = each.split("/");
      const there = journal.at(Number(parent), text)?.nodeid;
      if (there !== nodeid) found.push(`${each} is ${there ?? "nothing"}, not ${nodeid}`);
    }
  }
  const nameless = [...model.names].filter(([, names]) => names.length === 0).map(([nodeid]) => nodeid);
  const told = new Map(journal.nameless());
  if (told.size !== nameless.length || nameless.some((nodeid) => told.get(nodeid) !== nodeid + (nodeid % 2)))
    found.push(`nameless are ${[...told].join()}, not ${nameless.join()}`);
  const { accessTimes, changeTimes } = journal.told();
  if (!isDeepStrictEqual(accessTimes, model.accessTimes)) found.push("access times");
  if (!isDeepStrictEqual(changeTimes, model.changeTimes)) found.push("ctimes");
  return found;
}

function nameOf(name: KnownName | undefined): string | undefined {
  return name && `${name.parent}/${name.name}`;
}

/** Whether a kill has left something to be made whole. */
export function isTorn(file: Fd): boolean {
  const words = new Uint32Array(mapFile(file, 0, 65536).buffer);
  const [, active = 0, , , moving] = words;
  return moving !== 0 || words[2048 * (1 + active) + 2047] !== 0;
}
