/** Names of schroot.conf(5)'s `personality` and what personality(2) takes for them (linux/personality.h). */
const numbers: Readonly<Record<string, number>> = {
  linux: 0x0,
  linux_32bit: 0x0800000,
  linux32: 0x0008,
};

/** @returns undefined where nothing is to be changed: none is given, or one of systems that Linux no longer emulates */
export function personalityNumber(name: string): number | undefined {
  return numbers[name];
}
