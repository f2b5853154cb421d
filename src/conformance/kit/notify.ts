import { Wrong } from "./assert.ts";
import { close, keep, type Name } from "./files.ts";
import { AT_FDCWD, call, path as cString } from "./kernel.ts";

const inotifyInit_ = call("inotify_init1", "int", ["int"]);
const addWatch_ = call("inotify_add_watch", "int", ["int", "void *", "unsigned int"]);
const read_ = call("read", "long", ["int", "void *", "size_t"]);
const poll_ = call("poll", "int", ["void *", "unsigned long", "int"]);

/** Bits of inotify(7), which are fsnotify's: fanotify's have the same values. */
const names: readonly (readonly [number, string])[] = [
  [0x1, "ACCESS"],
  [0x2, "MODIFY"],
  [0x4, "ATTRIB"],
  [0x8, "CLOSE_WRITE"],
  [0x10, "CLOSE_NOWRITE"],
  [0x20, "OPEN"],
  [0x40, "MOVED_FROM"],
  [0x80, "MOVED_TO"],
  [0x100, "CREATE"],
  [0x200, "DELETE"],
  [0x400, "DELETE_SELF"],
  [0x800, "MOVE_SELF"],
  [0x1000, "OPEN_EXEC"],
  [0x2000, "UNMOUNT"],
];

function namesOf(mask: number): string[] {
  return names.filter(([bit]) => (mask & bit) !== 0).map(([, name]) => name);
}

const ALL = 0xfff;
const [IN_NONBLOCK, IN_CLOEXEC] = [0o4000, 0o2000000];

export interface Event {
  /** What was watched. */
  readonly on: string;
  readonly what: string;
  readonly name: string;
  readonly cookie: number;
}

/** What happens to files, by inotify(7). */
export class Watcher {
  readonly fd = keep(inotifyInit_(IN_NONBLOCK | IN_CLOEXEC));
  readonly #watched = new Map<number, string>();

  /** @param label what events are to be told under */
  watch(path: Name, label = "", mask = ALL): this {
    this.#watched.set(addWatch_(this.fd, cString(path), mask), label);
    return this;
  }

  /** What has happened, after waiting at most so long for anything. */
  events(waitMs = 0): Event[] {
    const buffer = Buffer.alloc(65536);
    const events: Event[] = [];
    while (isReadable(this.fd, events.length === 0 ? waitMs : 0)) {
      const length = read_(this.fd, buffer, buffer.length);
      for (let at = 0; at < length;) {
        const size = buffer.readUInt32LE(at + 12);
        const name = buffer.toString("latin1", at + 16, at + 16 + size).replace(/\0+$/, "");
        const on = this.#watched.get(buffer.readInt32LE(at)) ?? "?";
        for (const what of namesOf(buffer.readUInt32LE(at + 4))) {
          events.push({ on, what, name, cookie: buffer.readUInt32LE(at + 8) });
        }
        at += 16 + size;
      }
    }
    return events;
  }

  /** Throws unless these have happened, each as `WHAT` or `WHAT name`, in this order; others may have between them. */
  expect(wanted: readonly string[], when: string): void {
    const events = this.events().map(({ what, name }) => (name === "" ? what : `${what} ${name}`));
    let at = 0;
    for (const event of events) if (event === wanted[at]) at++;
    if (at < wanted.length) {
      throw new Wrong(`${when}: no event ${wanted[at] ?? ""}; there were: ${events.join(", ") || "none"}`);
    }
  }
}

function isReadable(fd: number, waitMs: number): boolean {
  const request = Buffer.alloc(8);
  request.writeInt32LE(fd, 0);
  request.writeInt16LE(1, 4); // POLLIN
  return poll_(request, 1, waitMs) > 0;
}

const fanotifyInit_ = call("fanotify_init", "int", ["unsigned int", "unsigned int"]);
const fanotifyMark_ = call("fanotify_mark", "int", ["int", "unsigned int", "uint64_t", "int", "void *"]);
const write_ = call("write", "long", ["int", "void *", "size_t"]);

// include/uapi/linux/fanotify.h
export const FAN = {
  CLASS_NOTIF: 0,
  CLASS_CONTENT: 4,
  REPORT_FID: 0x200,
  REPORT_DIR_FID: 0x400,
  REPORT_NAME: 0x800,
  MARK_MOUNT: 0x10,
  MARK_FILESYSTEM: 0x100,
  ONDIR: 0x40000000,
  EVENT_ON_CHILD: 0x08000000,
  OPEN_PERM: 0x10000,
} as const;

export interface FanEvent {
  readonly what: string;
  /** Open, read-only, of the file it is about; −1 where names are told instead. */
  readonly fd: number;
  readonly name: string;
}

/** What happens to files, by fanotify(7). */
export class FanWatcher {
  readonly fd: number;

  constructor(flags: number) {
    this.fd = keep(fanotifyInit_(flags | 2 | 1, 0o2000000)); // FAN_NONBLOCK, FAN_CLOEXEC; events' files O_RDONLY
  }

  mark(path: Name, mask: number, kind = 0): this {
    fanotifyMark_(this.fd, 1 | kind, mask, AT_FDCWD, cString(path));
    return this;
  }

  events(waitMs = 0): FanEvent[] {
    const buffer = Buffer.alloc(65536);
    const events: FanEvent[] = [];
    while (isReadable(this.fd, events.length === 0 ? waitMs : 0)) {
      const length = read_(this.fd, buffer, buffer.length);
      for (let at = 0; at < length;) {
        const size = buffer.readUInt32LE(at);
        const fd = buffer.readInt32LE(at + 16);
        const mask = Number(buffer.readBigUInt64LE(at + 8) & 0xffffn);
        const name = nameIn(buffer, at + buffer.readUInt16LE(at + 6), at + size);
        const what = namesOf(mask).join(" ");
        events.push({ what, fd: fd < 0 ? fd : keep(fd), name });
        at += size;
      }
    }
    return events;
  }

  /** Lets whoever waits for it go on, or not. */
  answer({ fd }: FanEvent, answer: "allow" | "deny"): void {
    const reply = Buffer.alloc(8);
    reply.writeInt32LE(fd, 0);
    reply.writeUInt32LE(answer === "allow" ? 1 : 2, 4);
    write_(this.fd, reply, 8);
    close(fd);
  }
}

/** The name of struct fanotify_event_info_fid with FAN_EVENT_INFO_TYPE_DFID_NAME. */
function nameIn(buffer: Buffer, start: number, end: number): string {
  for (let at = start; at + 4 <= end; at += Math.max(4, buffer.readUInt16LE(at + 2))) {
    if (buffer[at] !== 2) continue;
    const handle = at + 12; // header, fsid
    const from = handle + 8 + buffer.readUInt32LE(handle);
    const to = buffer.indexOf(0, from);
    return buffer.toString("latin1", from, to);
  }
  return "";
}
