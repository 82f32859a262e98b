/**
 * The name of this program for `deno run`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/**
 * Returns the path of the module that starts this program, or its address where it is not a file. In the built form
 * this module lies in `chunks/`, beside which `diskcast.js` stands.
 */
export function programPath(): string {
  const entry = import.meta.url.endsWith("/cli/program.ts") ? "../mod.ts" : "../diskcast.js";
  const url = new URL(entry, import.meta.url);
  return url.protocol === "file:" ? fileURLToPath(url) : url.href;
}
