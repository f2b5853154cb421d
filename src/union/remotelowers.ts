import type { Name } from "../kernel/at.ts";
import type { Core } from "./core.ts";
import { type Answers, type Demand, errandsOf, type PendingErrand, type RemotePlace, remotePlaces } from "./remote.ts";

/** The lowers of a union that may keep their reader waiting: what operations will ask of them, for others to ask it first. */
export class RemoteLowers {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Whether there are any. */
  get exist(): boolean {
    return this.#core.lowers.some(({ isRemote }) => isRemote);
  }

  /** See remotePlaces(). */
  places(nodeid: number, name?: Name): readonly RemotePlace[] {
    return remotePlaces(this.#now, nodeid, name);
  }

  /** What another process is to ask before an operation that wants this; their descriptors are for the moment only. */
  errandsOf(demands: readonly Demand[]): readonly PendingErrand[] {
    const core = this.#now;
    return demands.flatMap((demand) => errandsOf(core, demand));
  }

  /** Does an operation with what was asked before; what of that it didn't use is dropped. */
  withAnswers(answers: Answers, operate: () => void): void {
    this.#core.answers = answers;
    try {
      operate();
    } finally {
      this.#core.answers = undefined;
      this.drop(answers);
    }
  }

  /** What nobody waits for any more. */
  drop(answers: Answers): void {
    for (const { temporary } of answers.copies.values()) this.#core.upper?.work.discard(temporary);
  }

  /** Starts an operation, as those of the union do. */
  get #now(): Core {
    this.#core.cache.epoch++;
    return this.#core;
  }
}
