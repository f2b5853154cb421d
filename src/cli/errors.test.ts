import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { describe as describeError } from "./errors.ts";
import { statusOf, statusTexts } from "./exit.ts";

/** As kernel/error.ts's KernelError, which the command line knows only by its fields. */
function kernelError(syscall: string, path: string, errno: string, text: string): Error {
  return Object.assign(new Error(`${syscall} ${path}: ${text} (${errno})`), {
    name: "KernelError",
    syscall,
    path,
    errno,
  });
}

test("every kind of error has an exit status of its own, with its meaning", () => {
  const statuses = Object.values(statusOf);
  expect(new Set(statuses).size).toBe(statuses.length);
  for (const status of statuses) expect(statusTexts[status]).toBeDefined();
});

test("a UserError is its code, message and hint", () => {
  const error = new UserError("busy", "the chroot x is being made", { hint: "wait" });
  expect(describeError(error)).toEqual({ code: "busy", message: error.message, hint: "wait", status: 4 });
});

test("a refused system call is told in the same words, whoever made it", () => {
  const ours = kernelError("open", "/nowhere", "ENOENT", "no such file or directory");
  const expected = { code: "failed", message: "open /nowhere: no such file or directory (ENOENT)", status: 1 };
  expect(describeError(ours)).toEqual(expected as never);
  try {
    readFileSync("/nowhere");
    expect.unreachable();
  } catch (error) {
    expect(describeError(error)).toEqual(expected as never);
  }
});

test("a full disk is always the same code", () => {
  for (const errno of ["ENOSPC", "EDQUOT"]) {
    expect(describeError(kernelError("write", "/x", errno, "full"))).toMatchObject({
      code: "no-space",
      status: 8,
    });
  }
});

test("what nobody expected is a bug, with its stack", () => {
  const bug = describeError(new TypeError("x is not a function"));
  expect(bug).toMatchObject({ code: "bug", message: "TypeError: x is not a function", status: 1 });
  expect(bug.hint).toContain("this is a bug");
  expect(bug.stack).toContain("errors.test.ts");
  expect(describeError("thrown text")).toMatchObject({ code: "bug", message: "thrown text" });
});
