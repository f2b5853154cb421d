import { errnoName, KernelError } from "../../kernel/error.ts";

/** What a probe found wrong; anything else that it throws was unexpected. */
export class Wrong extends Error {}

/** Throws unless both are the same: primitives, or arrays and objects of them. */
export function same(actual: unknown, expected: unknown, what: string): void {
  const [is, wanted] = [show(actual), show(expected)];
  if (is !== wanted) throw new Wrong(`${what}: ${shorten(is)} instead of ${shorten(wanted)}`);
}

export function differ(a: unknown, b: unknown, what: string): void {
  if (show(a) === show(b)) throw new Wrong(`${what}: both ${shorten(show(a))}`);
}

export function holds(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Wrong(otherwise);
}

/** Throws unless `call` fails, and with one of these errnos. */
export function fails(expected: string | readonly string[], call: () => unknown, what: string): void {
  const wanted = [expected].flat();
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    if (!wanted.includes(errno)) throw new Wrong(`${what}: ${errno} instead of ${wanted.join(" or ")}`);
    return;
  }
  if (typeof result === "number" && result < 0) {
    const errno = errnoName(-result);
    if (!wanted.includes(errno)) throw new Wrong(`${what}: ${errno} instead of ${wanted.join(" or ")}`);
    return;
  }
  throw new Wrong(`${what}: succeeds instead of ${wanted.join(" or ")}`);
}

/** Runs `call`; an error is told with what was being done. */
export function works<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new Wrong(`${what}: ${errno}`, { cause: error });
  }
}

/** The errno of an error of node:fs or of ours. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof KernelError) return error.errno;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && code.startsWith("E") ? code : undefined;
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return String(value);
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner)) ?? "nothing";
}

function shorten(text: string): string {
  return text.length <= 160 ? text : `${text.slice(0, 100)}…${text.slice(-50)}`;
}
