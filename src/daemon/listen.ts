import { UserError } from "../error.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { makeDirectoryAt, unlinkAt } from "../kernel/file.ts";
import { connectTo, listenAt } from "../kernel/socket.ts";

const backlog = 256;

/** The socket that systemd has opened for us; undefined where it didn't start us. @see sd_listen_fds(3) */
export function inheritedSocket(env: Readonly<Record<string, string | undefined>>): Fd | undefined {
  if (env["LISTEN_PID"] !== String(process.pid)) return undefined;
  if (env["LISTEN_FDS"] !== "1") throw new UserError("usage", `${env["LISTEN_FDS"] ?? "no"} sockets instead of one`);
  return new Fd(3, "the socket of systemd");
}

/** Listens at a path, in the place of a service that was killed. @throws {UserError} busy: one is running */
export function listenAlone(path: string): Fd {
  const directory = path.slice(0, path.lastIndexOf("/"));
  unless(["EEXIST"], () => {
    makeDirectoryAt(null, directory, 0o755);
  });
  try {
    connectTo(path).close();
    throw new UserError("busy", `a service listens on ${path} already`);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ECONNREFUSED")) throw error;
  }
  unless(["ENOENT"], () => {
    unlinkAt(null, path);
  });
  // Everybody may connect from the first moment on: who comes then isn't to be refused.
  const umask = process.umask(0o111);
  try {
    return listenAt(path, backlog);
  } finally {
    process.umask(umask);
  }
}
