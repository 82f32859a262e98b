/**
 * Signals and environment of this process, as far as host and permissions give them.
 *
 * @module
 */

/**
 * Returns whether an environment variable is set and not empty, or has the given value; `false` without the permission
 * to read it, which is not asked for.
 */
export function isSet(variable: string, value?: string): boolean {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return false;
  const text = Deno.env.get(variable) ?? "";
  return value === undefined ? text !== "" : text === value;
}

/** Signals on which qemu-img and dd report their progress; SIGINFO (Ctrl-T) exists on BSD and macOS only. */
export const STATUS_SIGNALS: readonly Deno.Signal[] = ["SIGUSR1", "SIGINFO"];

/** Calls `listener` for each of the signals; returns a function that removes the listeners. */
export function onSignals<Name extends Deno.Signal>(
  names: readonly Name[],
  listener: (name: Name) => void,
): () => void {
  const removers: (() => void)[] = [];
  for (const name of names) {
    const call = () => listener(name);
    try {
      Deno.addSignalListener(name, call);
      removers.push(() => Deno.removeSignalListener(name, call));
    } catch {
      // No host has all signals, and Windows has few.
    }
  }
  return () => removers.forEach((remove) => remove());
}
