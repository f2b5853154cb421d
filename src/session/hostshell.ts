/** For who is a shell in a person's place, and has no rights of its own. */
export { ownEnvironment, verbatimArguments } from "../kernel/own.ts";
export { becomeHere } from "../kernel/process.ts";
