/**
 * The entry of the built form (`deno task build`): a module of its own, because `import.meta.main` is false in a chunk,
 * where mod.ts lies there.
 *
 * @module
 */
import { run } from "./main.ts";

await run();
