import { command } from "../command.ts";

/** The service; its socket comes from systemd, or it makes it by itself. */
export const daemon = command({
  name: "daemon",
  summary: "be the service by which people who aren't root use schroot",
  description: [
    "Where systemd started it (fallthrud.socket), it listens on the socket that systemd made; otherwise on /run/fallthrud/socket.",
    "It keeps nothing: it may be killed and started again at any moment.",
  ],
  operands: {},
  options: { foreground: { type: "boolean", summary: "listen without systemd, and stay in the foreground" } },
  examples: [{ line: "fallthru daemon --foreground", does: "without systemd, until it is killed" }],
  exits: {},
  json: [],
  run: async (_operands, { foreground }) => (await import("../../daemon/main.ts")).serveClients(foreground),
});
