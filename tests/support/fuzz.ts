/**
 * Repeats the tests that take a seed, of these files or of all, with new seeds: `deno task fuzz MINUTES [FILE]…`. Prints the
 * seed of each round; ends after the round in which the time is over, or with the first that fails.
 * `DENO_JOBS=1` runs one file at a time.
 *
 * @module
 */
const [minutes, ...chosen] = Deno.args;
if (!(Number(minutes) > 0)) {
  console.error("deno task fuzz MINUTES [FILE]...: for how many minutes?");
  Deno.exit(2);
}
const end = Date.now() + Number(minutes) * 60_000;
const files = chosen.length > 0 ? chosen : await seededTests("tests");
console.log(`${files.length} files for ${minutes} minutes`);
do {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  const begun = Date.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--quiet", "--frozen", "--no-check", "--parallel", "-A", ...files],
    env: { TEST_SEED: `${seed}` },
  }).output();
  console.log(`TEST_SEED=${seed}: ${success ? "ok" : "failed"} after ${Math.round((Date.now() - begun) / 1000)} s`);
  if (success) continue;
  await Deno.stdout.write(stdout);
  await Deno.stderr.write(stderr);
  Deno.exit(1);
} while (Date.now() < end);

/** Returns the test files below `folder` that take a seed. */
async function seededTests(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await seededTests(path));
    else if (name.endsWith("_test.ts") && /\bseed\(\)/.test(await Deno.readTextFile(path))) found.push(path);
  }
  return found.sort();
}
