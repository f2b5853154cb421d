import { O } from "./abi/file.ts";
import { AF_UNIX, MSG, SCM_RIGHTS, SO, SOCK, SOL_SOCKET } from "./abi/socket.ts";
import { check, errnoName, isErrno, unless } from "./error.ts";
import { Fd } from "./fd.ts";
import { cString, lastErrno, putAddress, quick } from "./libc.ts";

/** Sockets of unix(7), with a path. Never node:net: descriptors travel with the data. */

const socket_ = quick("socket", "int", ["int", "int", "int"]);
const bind_ = quick("bind", "int", ["int", "void *", "unsigned int"]);
const listen_ = quick("listen", "int", ["int", "int"]);
const connect_ = quick("connect", "int", ["int", "void *", "unsigned int"]);
const accept4_ = quick("accept4", "int", ["int", "void *", "void *", "int"]);
const setsockopt_ = quick("setsockopt", "int", ["int", "int", "int", "void *", "unsigned int"]);
const getsockopt_ = quick("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
const sendmsg_ = quick("sendmsg", "long", ["int", "void *", "int"]);
const recvmsg_ = quick("recvmsg", "long", ["int", "void *", "int"]);
// send(2) and recv(2), which are no system calls
const send_ = quick("sendto", "long", ["int", "void *", "size_t", "int", "void *", "unsigned int"]);
const recv_ = quick("recvfrom", "long", ["int", "void *", "size_t", "int", "void *", "void *"]);

/** Listens at `path`, where nothing may be yet. Who may connect is the file's mode: by the umask. @see unix(7) */
export function listenAt(path: string, backlog: number): Fd {
  const socket = makeSocket(SOCK.STREAM, path);
  const address = addressFor(path);
  check("bind", path, bind_(socket.number, address, address.length));
  check("listen", path, listen_(socket.number, backlog));
  return socket;
}

/**
 * @param patienceMs how long who listens may be busy, now and whenever something is sent; without it for ever
 * @throws {KernelError} ENOENT, ECONNREFUSED: nobody listens there; EACCES; EAGAIN: their patience is over
 */
export function connectTo(path: string, patienceMs?: number): Fd {
  const socket = makeSocket(SOCK.STREAM, path);
  if (patienceMs !== undefined) limitSending(socket, patienceMs);
  const address = addressFor(path);
  try {
    check("connect to", path, connect_(socket.number, address, address.length));
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

/** @see socket(7), SO_SNDTIMEO: connect(2) keeps to it, too */
function limitSending(socket: Fd, patienceMs: number): void {
  // struct timeval, by 32-bit numbers: the first bigint costs a start 0.05 ms.
  const time = Int32Array.of(Math.floor(patienceMs / 1000), 0, (patienceMs % 1000) * 1000, 0);
  const bytes = new Uint8Array(time.buffer);
  check("setsockopt", socket, setsockopt_(socket.number, SOL_SOCKET, SO.SNDTIMEO, bytes, bytes.length));
}

/** Sends a datagram to whoever reads at `path`. @returns false where that can't be done at once */
export function sendDatagram(path: string, data: Uint8Array): boolean {
  using socket = unless(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"], () => makeSocket(SOCK.DGRAM, path));
  if (socket === undefined) return false;
  const address = addressFor(path);
  if (connect_(socket.number, address, address.length) !== 0) return false;
  return send_(socket.number, data, data.length, MSG.DONTWAIT | MSG.NOSIGNAL, null, 0) === data.length;
}

function makeSocket(type: number, path: string): Fd {
  return new Fd(check("socket", path, socket_(AF_UNIX, type | O.CLOEXEC, 0)), path);
}

/** struct sockaddr_un */
function addressFor(path: string): Uint8Array {
  const name = cString(path);
  if (name.length > 108) throw new RangeError(`a socket's path has at most 107 bytes: ${path}`);
  const address = new Uint8Array(2 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}

/** @returns the next who connected; undefined where there is none, or they have gone again already */
export function acceptFrom(listening: Fd): Fd | undefined {
  const number = accept4_(listening.number, null, null, O.CLOEXEC);
  if (number !== -1) return new Fd(number, "connection");
  const errno = errnoName(lastErrno());
  if (["EAGAIN", "EINTR", "ECONNABORTED"].includes(errno)) return undefined;
  check("accept", listening, number);
  return undefined;
}

/** Who made a connection, at the moment when they made it. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The supplementary groups. */
  readonly groups: readonly number[];
}

/** What the kernel says of the other end. @see unix(7), SO_PEERCRED; socket(7), SO_PEERGROUPS */
export function peerOf(connection: Fd): Peer {
  const credentials = Buffer.alloc(12);
  check("getsockopt", connection, socketOption(connection, SO.PEERCRED, credentials).result);
  const { groups, length } = groupsOfPeer(connection);
  return {
    pid: credentials.readInt32LE(0),
    uid: credentials.readUInt32LE(4),
    gid: credentials.readUInt32LE(8),
    groups: Array.from({ length: length / 4 }, (_, index) => groups.readUInt32LE(index * 4)),
  };
}

/** A descriptor of the process that made a connection: unlike its number it is never another's. @see socket(7), SO_PEERPIDFD */
export function openPeer(connection: Fd): Fd {
  const number = Buffer.alloc(4);
  check("getsockopt", connection, socketOption(connection, SO.PEERPIDFD, number).result);
  return new Fd(number.readInt32LE(0), "peer");
}

/** Few have more than a page of groups; 65,536 is Linux's own limit. */
function groupsOfPeer(connection: Fd): { groups: Buffer; length: number } {
  for (const most of [1024, 65_536]) {
    const groups = Buffer.allocUnsafe(most * 4);
    const { result, length } = socketOption(connection, SO.PEERGROUPS, groups);
    if (result !== -1) return { groups, length };
    if (errnoName(lastErrno()) !== "ERANGE") check("getsockopt", connection, result);
  }
  throw new RangeError("more groups than there can be");
}

function socketOption(socket: Fd, option: number, value: Buffer): { result: number; length: number } {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  const result = getsockopt_(socket.number, SOL_SOCKET, option, value, length);
  return { result, length: length.readUInt32LE(0) };
}

/** Sends all of it, and waits for room. @returns false where nobody reads any more */
export function sendAll(socket: Fd, data: Uint8Array): boolean {
  for (let rest = data; rest.length > 0;) {
    const sent = send_(socket.number, rest, rest.length, MSG.NOSIGNAL, null, 0);
    if (sent > 0) rest = rest.subarray(sent);
    else if (!mayGoOn("send", socket)) return false;
  }
  return true;
}

/** Sends what there is room for. @returns how many bytes; undefined where nobody reads any more */
export function sendNow(socket: Fd, data: Uint8Array): number | undefined {
  const sent = send_(socket.number, data, data.length, MSG.DONTWAIT | MSG.NOSIGNAL, null, 0);
  if (sent >= 0) return sent;
  return isEnd(socket) ? undefined : 0;
}

/** As sendAll(), with open files that arrive with the first byte. */
export function sendAllWith(socket: Fd, data: Uint8Array, files: readonly Fd[]): boolean {
  // By 32-bit numbers: the first bigint costs a start 0.05 ms, and so does the first Buffer.
  const control = new Int32Array(4 + files.length);
  control[0] = control.byteLength;
  control[2] = SOL_SOCKET;
  control[3] = SCM_RIGHTS;
  for (let index = 0; index < files.length; index++) control[4 + index] = files[index]?.number ?? -1;
  for (;;) {
    const message = header(data, files.length === 0 ? undefined : new Uint8Array(control.buffer));
    const sent = sendmsg_(socket.number, new Uint8Array(message.words.buffer), MSG.NOSIGNAL);
    if (sent > 0) return sendAll(socket, data.subarray(sent));
    if (!mayGoOn("send", socket)) return false;
  }
}

/** After a call that returned no bytes. @throws what nobody expects of a connection */
function mayGoOn(syscall: string, socket: Fd): boolean {
  try {
    check(syscall, socket, -1);
  } catch (error) {
    if (isErrno(error, "EINTR")) return true;
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
  return false;
}

/**
 * What has arrived, without waiting for more.
 * @returns undefined where nothing has; empty at the connection's end. Files that come with it are closed by the kernel.
 */
export function receiveNow(socket: Fd, buffer: Uint8Array): Uint8Array | undefined {
  const length = recv_(socket.number, buffer, buffer.length, MSG.DONTWAIT, null, null);
  if (length >= 0) return buffer.subarray(0, length);
  return isEnd(socket) ? buffer.subarray(0, 0) : undefined;
}

/** The same, with the open files that came along: the caller's now. More than `most` make the message an error. */
export function receiveNowWith(
  socket: Fd,
  buffer: Uint8Array,
  most: number,
): { data: Uint8Array; files: Fd[] } | undefined {
  const control = Buffer.alloc(16 + most * 4 + 4);
  const { words } = header(buffer, control);
  const length = recvmsg_(socket.number, new Uint8Array(words.buffer), MSG.DONTWAIT | MSG.CMSG_CLOEXEC);
  if (length < 0) return isEnd(socket) ? { data: buffer.subarray(0, 0), files: [] } : undefined;
  const files = filesIn(control.subarray(0, words[msghdr.controllen]));
  const flags = words[msghdr.flags] ?? 0;
  if ((flags & MSG.CTRUNC) === 0 && files.length <= most) return { data: buffer.subarray(0, length), files };
  for (const file of files) file.close();
  throw new RangeError(`more than ${most} descriptors in a message`);
}

function filesIn(control: Buffer): Fd[] {
  if (control.length < 16 || control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) return [];
  const count = Math.floor((Number(control.readBigUInt64LE(0)) - 16) / 4);
  return Array.from({ length: count }, (_, index) => new Fd(control.readInt32LE(16 + index * 4), "passed"));
}

function isEnd(socket: Fd): boolean {
  try {
    check("receive", socket, -1);
  } catch (error) {
    if (isErrno(error, "EAGAIN", "EINTR")) return false;
    if (!isErrno(error, "ECONNRESET", "EPIPE")) throw error;
  }
  return true;
}

/** struct msghdr, then its one struct iovec, by 32-bit words: where their fields begin. */
const msghdr = { iov: 4, iovlen: 6, control: 8, controllen: 10, flags: 12, size: 14 } as const;

/** What it points to lives as long as the object. */
function header(
  data: Uint8Array,
  control: Uint8Array | undefined,
): { readonly words: Uint32Array<ArrayBuffer>; readonly keeps: readonly unknown[] } {
  const words = new Uint32Array(msghdr.size + 4);
  putAddress(words, msghdr.iov, new Uint8Array(words.buffer, msghdr.size * 4));
  words[msghdr.iovlen] = 1;
  putAddress(words, msghdr.size, data);
  words[msghdr.size + 2] = data.length;
  if (control !== undefined) {
    putAddress(words, msghdr.control, control);
    words[msghdr.controllen] = control.length;
  }
  return { words, keeps: [data, control] };
}
