/** Which lines of two texts differ; lines are numbers, equal where the lines are. */
export interface DifferingLines {
  /** Of the first, 1 for each that the second doesn't have there. */
  readonly removed: Uint8Array;
  /** Of the second, 1 for each that the first doesn't have there. */
  readonly added: Uint8Array;
}

/**
 * The shortest way from one text to the other, after Myers, "An O(ND) Difference Algorithm and Its Variations", in its
 * variant that takes linear space; where the texts have little in common, a way that isn't much longer.
 */
export function differingLines(one: Int32Array, other: Int32Array): DifferingLines {
  const result = { removed: new Uint8Array(one.length), added: new Uint8Array(other.length) };
  const size = one.length + other.length + 3;
  const space: Space = { one, other, forward: new Int32Array(size), backward: new Int32Array(size) };
  compare(space, { aLow: 0, aHigh: one.length, bLow: 0, bHigh: other.length }, result);
  return result;
}

interface Space {
  readonly one: Int32Array;
  readonly other: Int32Array;
  /** How far each diagonal was followed, from the start and from the end. */
  readonly forward: Int32Array;
  readonly backward: Int32Array;
}

interface Box {
  readonly aLow: number;
  readonly aHigh: number;
  readonly bLow: number;
  readonly bHigh: number;
}

function compare(space: Space, box: Box, result: DifferingLines): void {
  const { one, other } = space;
  let { aLow, aHigh, bLow, bHigh } = box;
  while (aLow < aHigh && bLow < bHigh && one[aLow] === other[bLow]) [aLow, bLow] = [aLow + 1, bLow + 1];
  while (aLow < aHigh && bLow < bHigh && one[aHigh - 1] === other[bHigh - 1]) [aHigh, bHigh] = [aHigh - 1, bHigh - 1];
  if (aLow === aHigh || bLow === bHigh) {
    result.removed.fill(1, aLow, aHigh);
    result.added.fill(1, bLow, bHigh);
    return;
  }
  const { a, b } = split(space, { aLow, aHigh, bLow, bHigh });
  compare(space, { aLow, aHigh: a, bLow, bHigh: b }, result);
  compare(space, { aLow: a, aHigh, bLow: b, bHigh }, result);
}

interface Point {
  readonly a: number;
  readonly b: number;
}

/** More differences than these between two points aren't counted out. */
const patience = 256;

/** A point in the middle of the shortest way: what is before it and what is after it can be looked at apart. */
function split(space: Space, box: Box): Point {
  const isOdd = ((box.aHigh - box.aLow - box.bHigh + box.bLow) & 1) !== 0;
  const forward = new Front(space, box, "forward");
  const backward = new Front(space, box, "backward");
  for (let cost = 1; ; cost++) {
    const met = forward.advance(isOdd ? backward : undefined) ?? backward.advance(isOdd ? undefined : forward);
    if (met !== undefined) return met;
    if (cost >= patience) return forward.farthest();
  }
}

/**
 * How far one gets with so many differences, from one corner: for each diagonal (a − b) the `a` that is reached. Diagonals
 * that have left the box are left out, every second one is looked at.
 */
class Front {
  readonly #space: Space;
  readonly #box: Box;
  readonly #isForward: boolean;
  readonly #reached: Int32Array;
  readonly #least: number;
  readonly #most: number;
  #from: number;
  #to: number;

  constructor(space: Space, box: Box, direction: "forward" | "backward") {
    const { aLow, aHigh, bLow, bHigh } = box;
    [this.#space, this.#box] = [space, box];
    this.#isForward = direction === "forward";
    this.#reached = this.#isForward ? space.forward : space.backward;
    [this.#least, this.#most] = [aLow - bHigh, aHigh - bLow];
    this.#from = this.#to = this.#isForward ? aLow - bLow : aHigh - bHigh;
    this.#set(this.#from, this.#isForward ? aLow : aHigh);
  }

  get(diagonal: number): number {
    return this.#reached[diagonal - this.#least + 1] ?? 0;
  }

  has(diagonal: number): boolean {
    return diagonal >= this.#from && diagonal <= this.#to;
  }

  #set(diagonal: number, a: number): void {
    this.#reached[diagonal - this.#least + 1] = a;
  }

  /** One more difference. @returns where it meets the front from the other corner */
  advance(other: Front | undefined): Point | undefined {
    const nothing = this.#isForward ? -1 : 0x7fff_ffff;
    if (this.#from > this.#least) this.#set(--this.#from - 1, nothing);
    else this.#from++;
    if (this.#to < this.#most) this.#set(++this.#to + 1, nothing);
    else this.#to--;
    for (let diagonal = this.#to; diagonal >= this.#from; diagonal -= 2) {
      const a = this.#isForward ? this.#follow(diagonal) : this.#followBack(diagonal);
      this.#set(diagonal, a);
      if (other?.has(diagonal) !== true) continue;
      const isMet = this.#isForward ? other.get(diagonal) <= a : a <= other.get(diagonal);
      if (isMet) return { a, b: a - diagonal };
    }
    return undefined;
  }

  #follow(diagonal: number): number {
    const { one, other } = this.#space;
    const { aHigh, bHigh } = this.#box;
    const [below, above] = [this.get(diagonal - 1), this.get(diagonal + 1)];
    let a = below >= above ? below + 1 : above;
    while (a < aHigh && a - diagonal < bHigh && one[a] === other[a - diagonal]) a++;
    return a;
  }

  #followBack(diagonal: number): number {
    const { one, other } = this.#space;
    const { aLow, bLow } = this.#box;
    const [below, above] = [this.get(diagonal - 1), this.get(diagonal + 1)];
    let a = below < above ? below : above - 1;
    while (a > aLow && a - diagonal > bLow && one[a - 1] === other[a - diagonal - 1]) a--;
    return a;
  }

  /** Of all that was reached what is nearest to the other corner. */
  farthest(): Point {
    const { aLow, aHigh, bLow, bHigh } = this.#box;
    let best = { a: aLow, b: bLow };
    for (let diagonal = this.#to; diagonal >= this.#from; diagonal -= 2) {
      const a = Math.min(this.get(diagonal), aHigh, bHigh + diagonal);
      const b = a - diagonal;
      if (a >= aLow && b >= bLow && a + b > best.a + best.b) best = { a, b };
    }
    return best;
  }
}
