import { sendDatagram } from "../kernel/socket.ts";
import { pathText } from "../kernel/libc.ts";

const socketPath = "/dev/log";
/** LOG_AUTHPRIV and LOG_NOTICE: what people run is for administrators to read. @see syslog(3) */
const priority = 10 * 8 + 5;
const longest = 1500;

/** Tells syslog; where nobody listens, or not fast enough, nobody is told. */
export function log(text: string): void {
  const time = new Date().toString().slice(4, 10).replace(" 0", "  ");
  const clock = new Date().toTimeString().slice(0, 8);
  const line = `<${priority}>${time} ${clock} fallthrud[${process.pid}]: ${visible(text)}`;
  sendDatagram(socketPath, Buffer.from(line));
}

/** One line, of no more than a datagram's length: whoever is logged chose the words. */
function visible(text: string): string {
  const line = pathText(text);
  return line.length <= longest ? line : `${line.slice(0, longest)}…`;
}
