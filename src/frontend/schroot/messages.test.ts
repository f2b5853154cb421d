import { expect, test } from "bun:test";
import { UserError } from "../../error.ts";
import type { Caller } from "./caller.ts";
import { refusal, tell, tellError } from "./messages.ts";

function heard(speak: (caller: Caller) => void): string {
  let text = "";
  speak({ say: (stream: 1 | 2, words: string) => (text += `${stream}:${words}`) } as unknown as Caller);
  return text;
}

test("tell() and tellError() write a line for each message, on standard error", () => {
  expect(heard((caller) => tell(caller, "W", "odd"))).toBe("2:W: odd\n");
  expect(heard((caller) => tellError(caller, refusal("no", "a", "b")))).toBe("2:E: no\n2:I: a\n2:I: b\n");
  expect(heard((caller) => tellError(caller, new UserError("busy", "held")))).toBe("2:E: held\n");
});

test("tell() lets no control character through to a terminal", () => {
  expect(heard((caller) => tell(caller, "E", "a\u001b[2J\nE: b"))).toBe("2:E: a\\x1b[2J\\x0aE: b\n");
});
