import { O } from "./abi/file.ts";
import { AF_UNIX, MSG, SCM_RIGHTS, SO, SOCK, SOL_SOCKET } from "./abi/socket.ts";
import { check } from "./error.ts";
import { Fd } from "./fd.ts";
import { addressOf, quick } from "./libc.ts";

const socketpair_ = quick("socketpair", "int", ["int", "int", "int", "void *"]);
const setsockopt_ = quick("setsockopt", "int", ["int", "int", "int", "void *", "unsigned int"]);
const sendmsg_ = quick("sendmsg", "long", ["int", "void *", "int"]);
const recvmsg_ = quick("recvmsg", "long", ["int", "void *", "int"]);

/** Two ends of a socket of messages; what is sent into the first waits until somebody reads the second. */
export function makeSocketPair(): readonly [Fd, Fd] {
  const numbers = new Int32Array(2);
  const bytes = new Uint8Array(numbers.buffer);
  check("socketpair", "", socketpair_(AF_UNIX, SOCK.SEQPACKET | O.CLOEXEC, 0, bytes));
  // Room for some 10,000 messages; who isn't the machine's superuser has 278.
  setsockopt_(numbers[0] ?? -1, SOL_SOCKET, SO.SNDBUFFORCE, Buffer.from(Int32Array.of(8 << 20).buffer), 4);
  return [new Fd(numbers[0] ?? -1, "socket"), new Fd(numbers[1] ?? -1, "socket")];
}

/**
 * Sends an open file with a number. While the message waits it keeps the file open, whatever becomes of the sender.
 * @param second another one that goes along; −1: none
 * @returns false where the socket is full
 * @see unix(7), SCM_RIGHTS
 */
export function sendDescriptor(socket: Fd, tag: number, descriptor: number, second = -1): boolean {
  message ??= new Message();
  message.begin();
  message.data.writeDoubleLE(tag);
  message.control.writeUInt32LE(second < 0 ? ONE : TWO, 0);
  message.control.writeInt32LE(SOL_SOCKET, 8);
  message.control.writeInt32LE(SCM_RIGHTS, 12);
  message.control.writeInt32LE(descriptor, 16);
  message.control.writeInt32LE(second, 20);
  return sendmsg_(socket.number, message.header, MSG.DONTWAIT) !== -1;
}

/**
 * Lets go of an open file, and has a thread of the kernel's do what the last one to let go has to, some milliseconds later: it is in a
 * socket that is on its way through itself, which nobody can read any more. Linux before 6.9 looks for such at once, in this call.
 */
export function letGoLater(file: Fd): void {
  const [into, outOf] = makeSocketPair();
  // Where the kernel takes no more of these, the file is just closed.
  if (sendDescriptor(into, 0, file.number)) sendDescriptor(into, 0, outOf.number);
  file.close();
  into.close();
  outOf.close();
}

/** What sendDescriptor() has sent. */
export interface Received {
  readonly tag: number;
  readonly descriptor: number;
  /** −1: none. */
  readonly second: number;
}

/** @returns the oldest message that waits; its descriptors are the caller's; undefined where there is none */
export function receiveDescriptor(socket: Fd): Received | undefined {
  message ??= new Message();
  message.begin();
  const length = recvmsg_(socket.number, message.header, MSG.DONTWAIT | MSG.CMSG_CLOEXEC);
  if (length !== 8 || message.control.readInt32LE(12) !== SCM_RIGHTS) return undefined;
  const second = message.control.readUInt32LE(0) === TWO ? message.control.readInt32LE(20) : -1;
  return { tag: message.data.readDoubleLE(), descriptor: message.control.readInt32LE(16), second };
}

/** cmsg_len: the header, and one int or two. */
const [ONE, TWO] = [20, 24];

/** One serves for all: to make one takes longer than the call. */
let message: Message | undefined;

/** struct msghdr with one iovec of 8 bytes and room for two descriptors. */
class Message {
  readonly data = Buffer.alloc(8);
  readonly control = Buffer.alloc(24);
  readonly header = Buffer.alloc(56);
  readonly #vector = Buffer.alloc(16);

  constructor() {
    this.#vector.writeBigUInt64LE(addressOf(this.data), 0);
    this.#vector.writeBigUInt64LE(8n, 8);
    this.header.writeBigUInt64LE(addressOf(this.#vector), 16);
    this.header.writeBigUInt64LE(1n, 24);
    this.header.writeBigUInt64LE(addressOf(this.control), 32);
  }

  /** What a call has filled in goes. */
  begin(): void {
    this.control.fill(0);
    this.header.writeUInt32LE(24, 40); // msg_controllen
  }
}
