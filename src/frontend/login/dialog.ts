import { quotePath } from "../../session/changes/diff.ts";
import { passingFiles, type PassingHome } from "../../session/home/files.ts";
import { saveAs } from "../../session/home/start.ts";
import type { Caller, CommandEnd } from "../schroot/caller.ts";
import type { Wanted } from "./shell.ts";

/**
 * Asks with what the root has of such programs, on the person's own screen; $1 is what is asked. Without any, or without a screen any
 * more, the answer is no: as it is where nobody is asked.
 */
const script = `
if command -v zenity >/dev/null; then exec zenity --question --title Logout --ok-label Save --cancel-label Drop --no-markup --text "$1"
elif command -v kdialog >/dev/null; then exec kdialog --title Logout --yes-label Save --no-label Drop --yesno "$1"
elif command -v xmessage >/dev/null; then exec xmessage -center -buttons Save:0,Drop:1 "$1"
fi
exit 1`;

/** How many names a window has room for. */
const most = 15;

/**
 * At a desktop's logout: asks whether the files that would be lost of the person's home are to be saved, all or none of them.
 * @param run runs a program in the session as the person
 */
export async function saveFromDesktop(
  home: PassingHome,
  caller: Caller,
  run: (wanted: Wanted) => Promise<CommandEnd>,
): Promise<void> {
  const files = passingFiles(home);
  if (files.length === 0) return;
  const shown = files.slice(0, most).map((file) => `  ${quotePath(file)}`);
  const more = files.length > most ? [`  and ${files.length - most} more`] : [];
  const question = ["This is lost from your home with your session:", ...shown, ...more, "Save it to your real home?"];
  const end = await run({ kind: "command", words: ["/bin/sh", "-c", script, "sh", question.join("\n")] });
  if (!("status" in end) || end.status !== 0) return;
  const { uid, gid, groups } = caller;
  const isWhole = await saveAs({ uid, gid, groups }, home, files, ["login-save"]);
  const words = isWhole
    ? "your files were saved"
    : "not all of your files were saved: the service's log says which weren't";
  caller.say(2, `fallthru: ${words}\n`);
}
