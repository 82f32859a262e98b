/**
 * Listening to signals, as far as the host has them.
 *
 * @module
 */

/** Calls `listener` for each of `names`; gives a function that takes the listeners away. */
export function onSignals<Name extends Deno.Signal>(
  names: readonly Name[],
  listener: (name: Name) => void,
): () => void {
  const undo: (() => void)[] = [];
  for (const name of names) {
    const call = () => listener(name);
    try {
      Deno.addSignalListener(name, call);
      undo.push(() => Deno.removeSignalListener(name, call));
    } catch {
      // No host has all of them: SIGINFO is of BSD and macOS, and Windows knows few.
    }
  }
  return () => undo.forEach((one) => one());
}
