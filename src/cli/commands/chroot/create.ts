import { command } from "../../command.ts";
export const create = command({
  name: "chroot create",
  summary: "create",
  operands: {},
  options: {},
  examples: [],
  exits: {},
  json: [],
  run: () => ({}),
});
