/**
 * Environment variables, as far as they may be read: nobody is asked for leave.
 *
 * @module
 */

/** Whether the variable is set to something, or to `value`. */
export function isSet(variable: string, value?: string): boolean {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return false;
  const text = Deno.env.get(variable) ?? "";
  return value === undefined ? text !== "" : text === value;
}
