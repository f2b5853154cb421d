import { UserError } from "../error.ts";
import { login } from "../frontend/login/login.ts";
import { schroot } from "../frontend/schroot/schroot.ts";
import { socketPath } from "./protocol.ts";

/** The service itself. It ends only when it is killed. */
export async function serveClients(foreground: boolean): Promise<never> {
  if (process.geteuid?.() !== 0) {
    throw new UserError("failed", "only the superuser can be the service", { hint: "sudo fallthru daemon" });
  }
  const [{ followResolver }, { inheritedSocket, listenAlone }, { Server }] = await Promise.all([
    import("../session/resolver.ts"),
    import("./listen.ts"),
    import("./server.ts"),
  ]);
  const inherited = inheritedSocket(process.env);
  if (inherited === undefined && !foreground) {
    const hint = "systemctl start fallthrud.socket; without systemd: fallthru daemon --foreground";
    throw new UserError("usage", "systemd didn't start this, so there is no socket", { hint });
  }
  process.umask(0o022);
  const listening = inherited ?? listenAlone(socketPath);
  const server = new Server(listening, [process.execPath, "daemon-worker"], followResolver());
  return server.run();
}

/** One of its workers. What a client may need is loaded before there is one. */
export async function serveOneUser(): Promise<{ status: number }> {
  const [{ work }] = await Promise.all([
    import("./worker.ts"),
    import("./command.ts"),
    import("../frontend/schroot/sessions.ts"),
    import("../frontend/schroot/command.ts"),
    import("../frontend/schroot/show.ts"),
    import("../session/run.ts"),
  ]);
  await work({ schroot, login });
  return { status: 0 };
}
