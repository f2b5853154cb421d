import { closeFd } from "../../kernel/at.ts";
import { O } from "../../kernel/abi/file.ts";
import { Fd } from "../../kernel/fd.ts";
import { openAt, statAt } from "../../kernel/file.ts";
import type { OpenLayers, UnionOptions } from "../../union/setup.ts";
import type { Keeper } from "./keeper.ts";
import { firstBranches, layersOf } from "./layers.ts";
import type { FallthruMount } from "./options.ts";
import { type Branch, type BranchList, writeState } from "./state.ts";

interface Parts {
  readonly mount: FallthruMount;
  readonly lowers: BranchList | undefined;
  /** Keeps the directories of lowers that were added. */
  readonly store: Keeper;
  /** The number of the first inherited descriptor of a layer. */
  readonly first: number;
  readonly state: Fd;
}

/** The layers of a mount as they are now, with their directories open; over all servers. */
export class LayerStack {
  readonly mount: FallthruMount;
  readonly branches: readonly Branch[];
  /** Of the request that they were last changed by. */
  readonly lastChange: string | undefined;
  readonly #store: Keeper;
  readonly #state: Fd;
  readonly #pair: OpenLayers["pair"];
  /** By key: their open directories, those that were removed among them. */
  readonly #directories = new Map<number, Fd>();
  readonly #initial: number;

  constructor({ mount, lowers, store, first, state }: Parts) {
    this.mount = mount;
    this.#store = store;
    this.#state = state;
    const initial = firstBranches(mount);
    this.branches = lowers?.branches ?? initial;
    this.lastChange = lowers?.id;
    const { upper, work } = layersOf(mount);
    this.#pair =
      upper === undefined || work === undefined
        ? undefined
        : { upper: new Fd(first, upper), work: new Fd(first + 1, work) };
    const firstLower = this.#pair === undefined ? first : first + 2;
    for (const { key, path } of initial) this.#directories.set(key, new Fd(firstLower + key, path));
    this.#initial = initial.length;
    for (const [tag, { fd }] of store.restore()) {
      const branch = this.branches.find(({ key }) => key === tag - 1);
      if (branch !== undefined) {
        this.#directories.set(branch.key, new Fd(fd, branch.path));
        continue;
      }
      // Whoever was adding it was killed.
      store.drop(tag);
      closeFd(fd);
    }
  }

  /** For a union, which gets open files of its own. */
  layers(): UnionOptions & { readonly open: OpenLayers } {
    const lowers = this.branches.filter(({ isRetired }) => isRetired !== true);
    const pair = this.#pair && { upper: again(this.#pair.upper), work: again(this.#pair.work) };
    const open = lowers.map(({ key }) => again(this.#directoryOf(key)));
    return { ...layersOf(this.mount), lowers, open: { pair, lowers: open, fileSystems: this.#fileSystems() } };
  }

  /**
   * As layers(), to look at what would be there: nothing is written, an upper is one more lower.
   * @param added the open directory of the one that isn't known yet
   */
  trial(branches: readonly Branch[], added: Fd | undefined): UnionOptions {
    const lowers = branches.filter(({ isRetired }) => isRetired !== true);
    const pair = this.#pair;
    const [upper] = pair === undefined ? [] : layersOf({ ...this.mount, readOnly: true }).lowers;
    const directories = lowers.map(({ key }) => again(this.#directories.get(key) ?? added ?? this.#directoryOf(key)));
    return {
      ...layersOf({ ...this.mount, upper: undefined, lowers: [], dataLowers: [] }),
      lowers: upper === undefined ? lowers : [upper, ...lowers],
      open: {
        pair: undefined,
        lowers: pair === undefined ? directories : [again(pair.upper), ...directories],
        fileSystems: [...this.#fileSystems(), ...(added === undefined ? [] : [added])],
      },
      log: () => {},
    };
  }

  /** All directories that are layers now. */
  get directories(): readonly Fd[] {
    const lowers = this.branches.filter(({ isRetired }) => isRetired !== true);
    const own = lowers.map(({ key }) => this.#directoryOf(key));
    return this.#pair === undefined ? own : [this.#pair.upper, this.#pair.work, ...own];
  }

  /** On how many file systems the layers lie, and this directory too. */
  fileSystemCount(...more: readonly Fd[]): number {
    return new Set(
      [...this.#fileSystems(), ...more].map((fd) => {
        const { dev } = statAt(fd);
        return `${dev.major}:${dev.minor}`;
      }),
    ).size;
  }

  get upper(): Fd | undefined {
    return this.#pair?.upper;
  }

  /** From here on the next server has these lowers. */
  commit(list: BranchList, added: { readonly key: number; readonly directory: Fd } | undefined): void {
    if (added !== undefined) this.#store.keep(added.key + 1, { fd: added.directory.number, isLower: false });
    writeState(this.#state, list);
  }

  #directoryOf(key: number): Fd {
    const directory = this.#directories.get(key);
    if (directory === undefined) throw new Error(`the lower ${key} is not open`);
    return directory;
  }

  /** In the order in which they came to the mount, whatever has become of them. */
  #fileSystems(): Fd[] {
    const all = [...this.#directories].toSorted(([a], [b]) => a - b);
    const [first, later] = [all.filter(([key]) => key < this.#initial), all.filter(([key]) => key >= this.#initial)];
    const upper = this.#pair === undefined ? [] : [this.#pair.upper];
    return [...first.map(([, fd]) => fd), ...upper, ...later.map(([, fd]) => fd)];
  }
}

function again(directory: Fd): Fd {
  return new Fd(openAt(directory, ".", O.RDONLY | O.DIRECTORY).number, directory.path);
}
