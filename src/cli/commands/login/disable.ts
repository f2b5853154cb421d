import { command } from "../../command.ts";
import { change, changesJson, changesText, subjectOf, subjectOptions } from "./subject.ts";

export const disable = command({
  name: "login disable",
  summary: "give somebody their usual logins back",
  description: [
    "Takes away what login enable has written for them, and nothing else: their shell is again the one that they had, and what is everybody's (PAM's lines, a display manager's file) goes with the last of them. Sessions that are open go on until their last logout.",
  ],
  operands: {},
  options: subjectOptions,
  examples: [{ line: "fallthru login disable --user alice", does: "all of hers, whichever way they were made" }],
  exits: {},
  json: changesJson,
  run: async (_, { user, group, dryRun, yes }, { json }) => {
    const { planDisable } = await import("../../../frontend/login/setup/plan.ts");
    return { data: await change(planDisable(subjectOf({ user, group })), { dryRun, yes, json }) };
  },
  text: changesText,
});
