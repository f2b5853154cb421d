import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type NativeStep, type Scripts, setupDirectory } from "./scripts.ts";

/** SHA-256 of the scripts as schroot 1.6.10 (Debian 11) and 1.6.13 (Debian 12 and 13) ship them. */
const stock: Readonly<Record<string, readonly string[]>> = {
  "00check": [
    "2a77d15d5c0b494a37eaf279a3990c5de11d3977e24b86f35937decfe7798090",
    "aaf013c5e58f69c92fae601038d423ce9ee8b9e64259bc11fe714fa0ca6d24d0",
  ],
  "05btrfs": [
    "60c31a882a2cc2a9b933d7a4e03bc6238a4ee55c3239c5417e1793e58ff95501",
    "f3298b9e614231c4a194a1acf86302a60c6df2fcfb743f05af59c1a33b2231a4",
  ],
  "05file": [
    "2d826eedf909ae5f09b06dcba61c960fd01ea3ab1de2469d99e19b3c0ea9c201",
    "32c45e43281de142cb27f5a129fd032ac1675fc8b53341635995425258c2aebf",
  ],
  "05lvm": [
    "161af23c98bd1290b7c4cffe31d7dc7d223102927bd20ad09f2718ad0aab9afb",
    "d1f87b80b26974cf0abdad47b4300c4a81ee5ddf9244b07edd88ceed6978de87",
  ],
  "05union": ["e012a02af82a3c1c0836b46c72a3fff4ad4180327d05b425322868935da847fd"],
  "05zfs": ["ece55ca806b48d1609f28983fe8fb2a69b8732cd8ebacb558311a2173ad3084a"],
  "10mount": [
    "140c35c47e8830783c499b8cdd0ed196fcd533e66aac40fc355e1b3a0ac7cfa9",
    "e4226e4d9d28fe976a31a8db5f3968c42667cab756f62e9f4720fdc81f01e00f",
    "75af5525a0af356dfdaa05e8c903f926eda9f577252424e035cebac4f7917743",
  ],
  "15binfmt": [
    "360ec6312e2147eca469da2a67005e1afe89eb2bf4c43ce791b7e97f57ba2422",
    "374e7061f4f9c5bc1118e8d6f4f3a0cc6f29593866be71d909fba9f0fa699d8f",
  ],
  "15killprocs": [
    "5d0ca52a04ba0a11b1f6d085710ccefccc95f8471dfd31b403cff7842baa6732",
    "577a1c442c3209488af4e4b1def52ef20deac0fc39f19b328a98091eb03065d3",
  ],
  "20copyfiles": [
    "84b708118614406ae91055e871df003572f55b0bf885b07c6923b96683a6ce7a",
    "1ebcf5fb460c4bedc319645e666b8f5e9e4ea37dc892d72b7dbd14c2b4152d16",
  ],
  "20nssdatabases": [
    "a78802b8a3dfbde2f0bf4aefe2c1366746915d17b62f43a0a375c8ca6e1a426d",
    "68a35904bc6d5bfbe37ec7ef734e57f8f2b7941c822ba2fb2af352a086f7524c",
  ],
  "50chrootname": [
    "45a374eacca205488eb65eec1910fd3c50e29e4a5be6b53c9ea0275db005cdce",
    "b9ce62df53d31d7d18e5395017bba0711391e9ece4001e005288c389b2747fab",
  ],
  "70services": [
    "a507ef0488a0cc5bcb568e56a36e42dcbfa5a73e0a2d6dccc46327541f395689",
    "aa48606dcfb2ef5c55914abd44856f4eaa016e7ebbaa4476b3dd382595205d99",
  ],
};

/** The same file by two names. */
const otherNames: Readonly<Record<string, string>> = { "99check": "00check" };

/** Whose work is a step of our own; what the others do is done by the mounting and removing of the session's tree. */
const stepOf: Readonly<Record<string, NativeStep>> = {
  "15binfmt": "binfmt",
  "20copyfiles": "copyfiles",
  "20nssdatabases": "nssdatabases",
  "50chrootname": "chrootname",
  "70services": "services",
};

/** Tells stock scripts from the administrator's own by their content. @param names sorted */
export function sortOut(names: readonly string[]): Scripts {
  const own = names.filter((name) => !isStock(name));
  const native = names.filter((name) => !own.includes(name)).flatMap((name) => stepOf[name] ?? []);
  // A directory without the script that mounts is the administrator's alone: schroot itself isn't there.
  return { own, native: names.includes("10mount") ? native : Object.values(stepOf) };
}

export function isStock(name: string): boolean {
  const digests = stock[otherNames[name] ?? name];
  if (digests === undefined) return false;
  const digest = createHash("sha256")
    .update(readFileSync(`${setupDirectory}/${name}`))
    .digest("hex");
  return digests.includes(digest);
}

/**
 * Whether this is (by its name) a script that makes and mounts what is there already: where it was changed it is run
 * for its additions, and told that there is nothing to mount.
 */
export function isMounter(name: string): boolean {
  return name === "10mount" || (name.startsWith("05") && name in stock);
}
