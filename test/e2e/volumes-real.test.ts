// deadline: 900
// lvm-snapshot and block-device with real volumes: this machine's kernel may have no device mapper, so in a virtual one.
import { beforeAll, expect, test } from "bun:test";
import { resolve } from "node:path";
import { runGuest } from "../support/guest.ts";

const script = resolve(import.meta.dirname, "../fixtures/volumes.sh");
let said = "";

beforeAll(async () => {
  said = await runGuest(script);
});

/** Each is a `check` of the script. */
for (const what of [
  "volumes are made",
  "classic: a session has a snapshot of its own",
  "thin: a session has a snapshot of its own",
  "classic: a source session changes the volume",
  "thin: a source session changes the volume",
  "schroot begins, runs and ends",
  "several at once",
  "classic: a begin that is killed leaves nothing",
  "thin: a begin that is killed leaves nothing",
  "a snapshot that overflows can be ended",
  "what LVM refuses is told",
  "block-device: sessions share the device",
  "sessions are open",
  "after a restart they are mounted again",
]) {
  test(what, () => {
    // The firmware leaves its own words at the beginning of a line.
    const line = new RegExp(`(?:not )?ok ${what}(?:: .*)?$`, "m").exec(said.replaceAll("\r", ""));
    expect(line?.[0] ?? said).toBe(`ok ${what}`);
  });
}
