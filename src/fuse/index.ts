// The FUSE server as a library: docs/fuse-example.md. Nothing here but re-exports.
export { attachAt, Connection, type MountOptions } from "./connection.ts";
export { Deferred } from "./deferred.ts";
export type { Wishes } from "./features.ts";
export type { Answer, FileSystem, NewInode, NewNode, Request, SetXattr } from "./filesystem.ts";
export { serve, type ServeOptions } from "./serve.ts";
export type { DirectoryWriter } from "./wire/dirent.ts";
export type { Terms } from "./wire/init.ts";
export type { Notification } from "./wire/notify.ts";
export { type Feature, FOPEN } from "./wire/protocol.ts";
export type * from "./wire/types.ts";
