import { type Keys, listOf } from "./keys.ts";
import { refusal } from "./messages.ts";
import type { Caller } from "./caller.ts";
import type { Request } from "./request.ts";
import type { Subject } from "./subjects.ts";

/** Whether the caller may set the keys that -o names, on everything they are meant for. @throws {UserError} */
export function checkKeys(request: Request, subjects: readonly Subject[], { uid }: Caller): void {
  for (const { keys } of subjects) {
    const allowed = [
      ...listOf(keys, "user-modifiable-keys"),
      ...(uid === 0 ? listOf(keys, "root-modifiable-keys") : []),
    ];
    for (const [key] of request.keys) {
      if (allowed.includes(key)) continue;
      throw refusal(
        `Configuration key ‘${key}’ is not permitted to be modified.`,
        `The key is not present in user-modifiable-keys${uid === 0 ? " or root-modifiable-keys" : ""}`,
      );
    }
  }
}

/** A chroot's keys as a session has them that is begun so; checkKeys() has been asked. */
export function withRequest(keys: Keys, { keys: given, isQuiet, isVerbose }: Request): Keys {
  const verbosity = isVerbose ? "verbose" : isQuiet ? "quiet" : keys["message-verbosity"];
  return {
    ...keys,
    ...(verbosity === undefined ? {} : { "message-verbosity": verbosity }),
    ...Object.fromEntries(given),
  };
}
