import { quotePath } from "../../session/changes/diff.ts";
import { isHistory, passingFiles, type PassingHome } from "../../session/home/files.ts";
import { saveAs } from "../../session/home/start.ts";
import type { Caller, CommandEnd } from "../schroot/caller.ts";
import type { Wanted } from "./shell.ts";

/** Exit statuses of the script; any other is no answer. */
const answers = { save: 10, drop: 11 } as const;

/**
 * Asks with what the root has of such programs, on the person's own screen; $1 is what is asked. A window that is closed, a screen that
 * is gone or a program that isn't there is no answer, and looks like the third button, where there is one.
 */
const script = `
if command -v zenity >/dev/null; then
  answer=$(zenity --question --title Logout --ok-label Save --extra-button Drop --cancel-label "Keep in ~/unsaved" --no-markup --text "$1") && exit ${answers.save}
  [ "$answer" = Drop ] && exit ${answers.drop}
elif command -v kdialog >/dev/null; then
  # Its yes, no and cancel are told by statuses alone, and 1, the no, is also that of a lost screen: what is picked is printed.
  case $(kdialog --title Logout --menu "$1" save Save keep "Keep in ~/unsaved" drop Drop --default Save) in
    save) exit ${answers.save} ;; drop) exit ${answers.drop} ;;
  esac
elif command -v xmessage >/dev/null; then
  exec xmessage -center -buttons "Save:${answers.save},Drop:${answers.drop},Keep in ~/unsaved:12" "$1"
fi
exit 12`;

/** How many names a window has room for. */
const most = 15;

/**
 * At a desktop's logout: asks what is to become of the files that would be lost of the person's home, all of them together.
 * @param run runs a program in the session as the person
 * @returns whether they have said so, and it was done
 */
export async function saveFromDesktop(
  home: PassingHome,
  caller: Caller,
  run: (wanted: Wanted) => Promise<CommandEnd>,
): Promise<"answered" | "open"> {
  const files = passingFiles(home);
  if (files.every((file) => isHistory(file))) return "answered";
  const shown = files.slice(0, most).map((file) => `  ${quotePath(file)}`);
  const more = files.length > most ? [`  and ${files.length - most} more`] : [];
  const question = ["This is lost from your home with your session:", ...shown, ...more, "Save it to your real home?"];
  const end = await run({ kind: "command", words: ["/bin/sh", "-c", script, "sh", question.join("\n")] });
  const status = "status" in end ? end.status : undefined;
  if (status === answers.drop) return "answered";
  if (status !== answers.save) return "open";
  const { uid, gid, groups } = caller;
  const isWhole = (await saveAs({ uid, gid, groups }, home, files)) === "whole";
  const words = isWhole
    ? "your files were saved"
    : "not all of your files were saved; ~/unsaved has what could be read of them: the service's log says which weren't";
  caller.say(2, `fallthru: ${words}\n`);
  return isWhole ? "answered" : "open";
}
