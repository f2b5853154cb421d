import * as fs from "node:fs";
import { expect } from "bun:test";
import { bytesOf, closeFd, openName } from "../../src/kernel/at.ts";
import { attributeName, setXattrOf } from "../../src/kernel/io.ts";
import type { UnionOptions } from "../../src/union/setup.ts";
import { Union } from "../../src/union/union.ts";
import { mountTmpfs } from "./unions.ts";

export const superuser = { uid: 0, gid: 0 };
export const name = (text: string): Uint8Array => bytesOf(text);

/** Layers on a file system of their own, gone at the end of the test. */
export function space(): {
  root: string;
  path: (name: string) => string;
  union: (options?: Partial<UnionOptions>) => Union;
  log: string[];
} & Disposable {
  const mount = mountTmpfs();
  const { root } = mount;
  const log: string[] = [];
  for (const directory of ["lower", "upper", "work"]) fs.mkdirSync(`${root}/${directory}`);
  return {
    root,
    log,
    path: (name) => `${root}/${name}`,
    union: (options = {}) =>
      new Union({
        lowers: [`${root}/lower`],
        upper: `${root}/upper`,
        work: `${root}/work`,
        log: (line) => log.push(line),
        ...options,
      }),
    [Symbol.dispose]: () => mount.close(),
  };
}

export function find(union: Union, path: string): number {
  let nodeid = 1;
  for (const part of path.split("/")) {
    const entry = union.lookup(nodeid, name(part));
    if (entry === undefined) throw Object.assign(new Error(path), { errno: "ENOENT" });
    nodeid = entry.nodeid;
  }
  return nodeid;
}

export function entries(union: Union, nodeid = 1): string[] {
  const { names } = union.readdir(nodeid);
  return names.filter((name) => name !== "." && name !== "..").toSorted();
}

export function content(union: Union, nodeid: number): string {
  const handle = union.open(nodeid, 0);
  const buffer = Buffer.alloc(1000);
  const length = union.read(handle, buffer, 0);
  union.release(handle);
  return buffer.toString("utf8", 0, length);
}

export function write(union: Union, nodeid: number, text: string): void {
  const handle = union.open(nodeid, 2);
  union.write(handle, Buffer.from(text), 0);
  union.release(handle);
}

export function errnoOf(call: () => unknown): string {
  try {
    call();
    return "ok";
  } catch (error) {
    return error instanceof Error && "errno" in error ? String(error.errno) : String(error);
  }
}

export function mark(path: string, attribute: string, value: string): void {
  const fd = openName(-100, path, 0);
  expect(setXattrOf(fd, "", attributeName(attribute), Buffer.from(value))).toBe(0);
  closeFd(fd);
}
