/**
 * For what works long enough that code pays which is compiled early. The executable's own policy (build.sh) is that of verbs that
 * take milliseconds: nothing pays that has to be compiled first.
 */
export function compileEarlier(): void {
  type Engine = { readonly Bun?: { readonly unsafe?: { readonly setJITPolicy?: (scale: number) => void } } };
  (globalThis as Engine).Bun?.unsafe?.setJITPolicy?.(1);
}
