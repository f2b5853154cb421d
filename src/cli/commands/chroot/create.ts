import { resolve } from "node:path";
import { createChrootRoot, defaultVariant } from "../../../image/create.ts";
import { variants } from "../../../image/programs.ts";
import { command } from "../../command.ts";
import { chrootJson } from "./describe.ts";
import { makeChroot, parseType, typeOption } from "./making.ts";

export const create = command({
  name: "chroot create",
  summary: "make a chroot of Debian packages",
  description: [
    "Runs mmdebstrap, or debootstrap where that is missing, with this machine's own apt sources, changed to SUITE; makes the root below /var/lib/fallthru/chroots and describes it in /etc/schroot/chroot.d/NAME.conf. The chroot appears when it is whole; what is stopped or fails leaves nothing.",
    "The new chroot starts no daemons (policy-rc.d), and has no resolv.conf, hosts or machine-id of this machine's.",
  ],
  operands: { name: { arity: "one", summary: "the new chroot's name" } },
  options: {
    suite: {
      type: "string",
      short: "s",
      placeholder: "SUITE",
      summary: "the release: bookworm, stable, sid; without it NAME",
    },
    sources: {
      type: "string",
      placeholder: "FILE",
      completes: "file",
      summary: "a file of apt sources, instead of this machine's",
    },
    mirror: { type: "string", placeholder: "URI", summary: "an archive, instead of this machine's apt sources" },
    include: { type: "strings", placeholder: "PACKAGE,...", summary: "further packages" },
    variant: {
      type: "string",
      placeholder: "VARIANT",
      completes: variants,
      default: defaultVariant,
      summary: "which packages it begins with, as mmdebstrap(1) names them: minbase, buildd, ...",
    },
    type: typeOption,
    description: { type: "string", placeholder: "TEXT", summary: "one line for people" },
  },
  examples: [
    { line: "fallthru chroot create bookworm", does: "a small Debian 12" },
    {
      line: "fallthru chroot create build --suite sid --variant buildd --include git,ccache",
      does: "one that packages can be built in",
    },
  ],
  exits: {
    3: "no such file of sources",
    5: "the name is taken",
    6: "there are no apt sources for it",
    7: "neither mmdebstrap nor debootstrap is here, or without root only the latter",
    8: "a file system is full",
  },
  json: chrootJson(""),
  run: async ({ name }, { suite = name, type: typeText, description, sources, mirror, include, variant }, common) => {
    const packages = include.flatMap((list) => list.split(",")).filter((each) => each !== "");
    const type = parseType(typeText);
    const about = { name, ...type, description: description ?? `Debian ${suite} (${variant})` };
    const make = makeChroot(about, common, (reporting) =>
      createChrootRoot(name, {
        ...type,
        suite,
        variant,
        include: packages,
        ...(sources === undefined ? {} : { sources: resolve(sources) }),
        ...(mirror === undefined ? {} : { mirror }),
        ...reporting,
      }),
    );
    return { data: await make };
  },
  text: ({ name, root }, { quiet }) => (quiet ? "" : `created ${name}, its root is ${root}\n`),
});
