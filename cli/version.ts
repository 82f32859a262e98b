/**
 * The version of this program.
 *
 * @module
 */
import config from "../deno.json" with { type: "json" };

/** As published. */
export const VERSION: string = config.version;
