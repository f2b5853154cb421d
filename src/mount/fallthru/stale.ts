/** What the kernel knows of a directory that was read with the attributes of its entries. */
interface Listing {
  /** Being read; in the kernel's cache; or not there any more, as far as that is known. */
  state: "begun" | "cached" | "gone";
  entries: number;
  /** How many of them the kernel will ask for the attributes of, each by itself. */
  stale: number;
}

/** With fewer it is cheaper to be asked for each. */
const SOME = 3;
/** As long as one request costs: an entry that is listed with its attributes takes a few microseconds. */
const ENTRIES_PER_REQUEST = 4;

/**
 * Linux takes the attributes of what was read for out of date, because of the access time, and asks for them again, one
 * inode after the other. Reading a directory brings the attributes of all its entries at once, but the kernel answers that
 * from its cache: so that is dropped where many are out of date. Whoever walks over the tree next then asks once.
 */
export class StaleAttributes {
  readonly #parentOf: (nodeid: number) => number | undefined;
  readonly #drop: (directory: number) => void;
  readonly #listings = new Map<number, Listing>();
  /** By nodeid: the directory in whose listing it counts. */
  readonly #stale = new Map<number, number>();

  /** @param drop has the kernel drop a directory's entries; its own attributes are out of date then */
  constructor(parentOf: (nodeid: number) => number | undefined, drop: (directory: number) => void) {
    this.#parentOf = parentOf;
    this.#drop = drop;
  }

  /** The kernel was told, or will ask when it wants to know. */
  touched(nodeid: number): void {
    if (this.#stale.has(nodeid)) return;
    const parent = this.#parentOf(nodeid);
    const listing = parent === undefined ? undefined : this.#listings.get(parent);
    if (parent === undefined || listing === undefined) return;
    this.#stale.set(nodeid, parent);
    listing.stale++;
    this.#dropIfWorthIt(parent, listing);
  }

  /** The kernel knows its attributes. */
  told(nodeid: number): void {
    const parent = this.#stale.get(nodeid);
    if (parent === undefined) return;
    this.#stale.delete(nodeid);
    const listing = this.#listings.get(parent);
    if (listing !== undefined && listing.stale > 0) listing.stale--;
  }

  /** A directory was read on from `offset`. @param count of entries, with attributes; 0: this is its end */
  listed(directory: number, offset: number, count: number): void {
    let listing = this.#listings.get(directory);
    if (listing === undefined) {
      listing = { state: "gone", entries: 0, stale: 0 };
      this.#listings.set(directory, listing);
    }
    if (offset === 0) [listing.state, listing.entries] = ["begun", 0];
    listing.entries += count;
    if (count === 0 && listing.state === "begun") listing.state = "cached";
    this.touched(directory);
    // What lies in it may have been read before its end was.
    this.#dropIfWorthIt(directory, listing);
  }

  /** Its entries have changed: the kernel reads it anew, and has dropped its attributes. */
  changed(directory: number): void {
    const listing = this.#listings.get(directory);
    if (listing !== undefined) listing.state = "gone";
    this.touched(directory);
  }

  forget(nodeid: number): void {
    this.told(nodeid);
    this.#listings.delete(nodeid);
  }

  #dropIfWorthIt(directory: number, listing: Listing): void {
    const { state, entries, stale } = listing;
    if (state !== "cached" || stale < SOME || stale * ENTRIES_PER_REQUEST < entries) return;
    listing.state = "gone";
    this.#drop(directory);
    this.touched(directory);
  }
}
