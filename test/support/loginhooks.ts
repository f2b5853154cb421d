import { afterAll, afterEach } from "bun:test";
import { closeTerminals, unmakeMachine, untilNothingIsLeft } from "./logins.ts";

/** After each test of the file its windows are closed and nothing may be left; after the last one the machine is unmade. */
export function leaveNothing(): void {
  afterEach(async () => {
    closeTerminals();
    await untilNothingIsLeft();
  });
  afterAll(unmakeMachine);
}
