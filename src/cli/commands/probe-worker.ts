import { runWorker } from "../../conformance/worker.ts";
import { command } from "../command.ts";

export const probeWorker = command({
  name: "probe-worker",
  summary: "run probes of doctor --probe, by the names on stdin",
  operands: {
    system: { arity: "one", summary: "what is mounted; `map`: write to a mapping of a file" },
    directory: { arity: "one", summary: "where the layers are made, or the file" },
  },
  options: {},
  examples: [{ line: "fallthru doctor --probe /var/tmp", does: "starts it" }],
  exits: {},
  json: [],
  run: async ({ system, directory }) => {
    await runWorker(system, directory);
    return {};
  },
});
