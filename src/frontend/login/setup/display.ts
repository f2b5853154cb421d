import { existsSync } from "node:fs";
import { UserError } from "../../../error.ts";
import { type Edit, editOf } from "./edits.ts";

/** What display managers run in the place of their own Xsession. */
const wrapper = "/usr/share/fallthru/Xsession";

export const displayManagers = ["lightdm", "sddm"] as const;
export type DisplayManager = (typeof displayManagers)[number];

/** The file of ours that tells each of them so. */
const files: Readonly<Record<DisplayManager, { readonly file: string; readonly text: string; readonly of: string }>> = {
  lightdm: {
    of: "/etc/lightdm",
    file: "/etc/lightdm/lightdm.conf.d/50-fallthru.conf",
    text: `[Seat:*]\nsession-wrapper=${wrapper}\n`,
  },
  sddm: {
    of: "/usr/bin/sddm",
    file: "/etc/sddm.conf.d/fallthru.conf",
    text: `[X11]\nSessionCommand=${wrapper}\n\n[Wayland]\nSessionCommand=${wrapper}\n`,
  },
};

/** Has a display manager run the desktops of those whose logins are sessions in these. @throws {UserError} not-found */
export function displayEdit(manager: DisplayManager): Edit | undefined {
  const { file, text, of } = files[manager];
  if (!existsSync(of)) throw new UserError("not-found", `${manager} isn't installed: there is no ${of}`);
  if (!existsSync(wrapper)) {
    throw new UserError("not-found", `there is no ${wrapper}`, { hint: "it comes with the package: docs/login.md" });
  }
  return editOf(file, () => text);
}

export function displayRemovals(): (Edit | undefined)[] {
  return toldManagers().map((manager) => editOf(files[manager].file, () => undefined));
}

export function toldManagers(): DisplayManager[] {
  return displayManagers.filter((manager) => existsSync(files[manager].file));
}
