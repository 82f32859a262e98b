/**
 * The version, as in deno.json; a test keeps them equal.
 *
 * @module
 */

/** The version of this program. */
export const VERSION = "0.1.0";
