/**
 * The entry of the built form (`deno task build`). mod.ts cannot be that: there it is part of a chunk, and in a chunk
 * `import.meta.main` is false.
 *
 * @module
 */
import { run } from "./main.ts";

await run();
