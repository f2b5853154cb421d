import { O } from "./abi/file.ts";
import { check } from "./error.ts";
import { Fd } from "./fd.ts";
import { native } from "./libc.ts";

const socket_ = native("socket", "int", ["int", "int", "int"]);
const ioctl_ = native("ioctl", "int", ["int", "unsigned long", "void *"]);

/** Sets IFF_UP on `lo`. @see netdevice(7) */
export function raiseLoopback(): void {
  using socket = new Fd(check("socket", "", socket_(2, 2 | O.CLOEXEC, 0)), "socket");
  const request = Buffer.alloc(40);
  request.write("lo");
  request.writeInt16LE(1, 16);
  check("set up the interface", "lo", ioctl_(socket.number, 0x8914, request));
}
