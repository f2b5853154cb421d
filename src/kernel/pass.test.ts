import { expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { readAvailable } from "./file.ts";
import { letGoLater, makeSocketPair, receiveDescriptor, sendDescriptor } from "./pass.ts";
import { Fd } from "./fd.ts";
import { makePipe } from "./self.ts";

const open = () => readdirSync("/proc/self/fd").length;

test("letGoLater() leaves nothing open, here or in the kernel", () => {
  const before = open();
  {
    const [reading, writing] = makePipe();
    using end = reading;
    letGoLater(writing);
    expect(() => writing.number).toThrow(/closed/);
    expect(open()).toBe(before + 1);
    // Comes to its end when the last one lets go of what writes into it.
    expect(readAvailable(end)).toHaveLength(0);
  }
  expect(open()).toBe(before);
});

test("sendDescriptor() and receiveDescriptor() pass on the same open file", () => {
  const [into, outOf] = makeSocketPair();
  using first = into;
  using second = outOf;
  expect(receiveDescriptor(second)).toBeUndefined();
  const [reading, writing] = makePipe();
  using end = reading;
  {
    using sent = writing;
    expect(sendDescriptor(first, 7, sent.number)).toBe(true);
  }
  const { tag, descriptor = -1 } = receiveDescriptor(second) ?? {};
  expect(tag).toBe(7);
  new Fd(descriptor, "received").close();
  expect(readAvailable(end)).toHaveLength(0);
  expect(sendDescriptor(first, 8, end.number, second.number)).toBe(true);
  const both = receiveDescriptor(second);
  const paths = [both?.descriptor, both?.second].map((fd = -1) => {
    using received = new Fd(fd, "received");
    return readlinkSync(`/proc/self/fd/${received.number}`);
  });
  expect([both?.tag, ...paths]).toEqual([
    8,
    ...[end, second].map(({ number }) => readlinkSync(`/proc/self/fd/${number}`)),
  ]);
});
