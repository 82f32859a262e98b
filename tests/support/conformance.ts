/**
 * The conformance suite: cases that every format must pass. `tests/formats/conformance_test.ts` runs them for the registry.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  alignDown,
  alignUp,
  type Format,
  ImageError,
  inlineDecompressor,
  MemoryStorage,
  type OptionSpec,
  type OptionValues,
} from "../../formats/mod.ts";
import {
  assertBytes,
  createImage,
  editImage,
  type Image,
  openImage,
  peekOf,
  readAll,
  readAtRandom,
  resized,
  tornAt,
  tryToRead,
  workAtRandom,
} from "./model.ts";
import { type Rng, rounds } from "./qemu.ts";

/** One case; `skip` is the reason why it does not apply. */
export interface Case {
  readonly name: string;
  readonly skip?: string | undefined;
  run(random: Rng): Promise<void>;
}

const NOTHING = new Uint8Array(0);
/** Number of damaged copies of an image that are opened. */
const FLIPS = rounds(200, 400);
/** Guest bytes that are read of a damaged image at most: its size field may have any value. */
const MOST = 4 << 20;
/** Guest bytes of a test disk at most; with larger clusters, the disk has fewer of them. */
const LARGEST = 8 << 20;

/** An image of a format that cannot create any: the bytes of its file, and those of its disk. */
export interface Sample {
  readonly file: Uint8Array;
  readonly disk: Uint8Array;
}

/** Returns all cases of one format; a read-only format is tested with `sample`. */
export function conformanceCases(format: Format, sample?: Sample): Case[] {
  const noSample = format.create || sample ? undefined : `${format.name} images cannot be created`;
  const imageToDamage = (random: Rng) =>
    sample
      ? { image: { storage: new MemoryStorage(sample.file), named: new Map() }, model: sample.disk }
      : filled(format, {}, random, 300_000);
  const noCreate = format.create ? undefined : `${format.name} images cannot be created`;
  const noEdit = noCreate ?? (format.edit ? undefined : `existing ${format.name} images cannot be written`);
  const noBacking = noCreate ??
    (format.has.overlays ? undefined : `${format.name} images are not made over a backing file`);
  const noCompression = noCreate ?? (format.has.compression ? undefined : `${format.name} does not compress`);
  const noSnapshots = noCreate ??
    (format.has.snapshots ? undefined : `${format.name} has none`);
  return [
    { name: "has valid properties", run: () => validProperties(format) },
    {
      name: "probes any bytes without an exception or a false match",
      run: (random) => probesCarefully(format, random),
    },
    { name: "refuses an empty file and random bytes, or reads them", run: (random) => foreignBytes(format, random) },
    ...optionSets(format).map((options) => ({
      name: `keeps every byte with ${describe(options)}`,
      skip: noCreate,
      run: (random: Rng) => roundTrip(format, options, random),
    })),
    { name: "keeps every byte with mixed options", skip: noCreate, run: (random) => mixedOptions(format, random) },
    { name: "keeps its tables in memory", skip: noCreate, run: (random) => cachesTables(format, random) },
    { name: "keeps sizes", skip: noCreate, run: (random) => sizes(format, random) },
    { name: "keeps every byte compressed", skip: noCompression, run: (random) => compressed(format, random) },
    { name: "keeps every byte over a backing file", skip: noBacking, run: (random) => overBacking(format, random) },
    { name: "keeps every byte when edited", skip: noEdit, run: (random) => edited(format, random) },
    { name: "allows an image to be abandoned", skip: noCreate, run: (random) => abandoned(format, random) },
    {
      name: "refuses a missing snapshot",
      skip: noSnapshots,
      run: (random) => unknownSnapshot(format, random),
    },
    ...(sample
      ? [{
        name: "reads the sample",
        run: async (random: Rng) => {
          const { image, model } = await imageToDamage(random);
          await verify(format, image, model, random);
        },
      }]
      : []),
    {
      name: "survives every cut of an image",
      skip: noSample,
      run: async (random) => cuts(format, await imageToDamage(random), random),
    },
    {
      name: "survives flipped bits in an image",
      skip: noSample,
      run: async (random) => flips(format, await imageToDamage(random), random),
    },
  ];
}

/** Returns the default options, then each value of each option alone. */
export function optionSets(format: Format): OptionValues[] {
  return [{}, ...format.createOptions.flatMap((spec) => valuesOf(spec).map((value) => ({ [spec.name]: value })))];
}

/** Returns values to try. The tests of a format itself cover its text options. */
function valuesOf(spec: OptionSpec): (string | number | boolean)[] {
  switch (spec.type) {
    case "flag":
      return [true, false];
    case "choice":
      return [...spec.values ?? []];
    case "size":
    case "number":
      return [...new Set([spec.min, spec.default, spec.max])].filter((value) => typeof value === "number")
        .filter((value) => value <= LARGEST);
    case "file":
      return ["further.bin"];
    case "text":
      return [];
  }
}

// deno-lint-ignore require-await
async function validProperties(format: Format): Promise<void> {
  assert.match(format.name, /^[a-z0-9]+$/);
  assert(isOneLine(format.title), format.title);
  assert(format.extensions.every((extension) => /^[a-z0-9]+$/.test(extension)));
  const names = format.createOptions.map((spec) => spec.name);
  assert.equal(new Set(names).size, names.length, "two options of one name");
  for (const spec of format.createOptions) validOption(spec);
}

function validOption(spec: OptionSpec): void {
  assert.match(spec.name, /^[a-z0-9_.]+$/);
  assert(isOneLine(spec.help), `${spec.name}: ${spec.help}`);
  assert.equal(
    spec.type === "choice",
    spec.values !== undefined,
    `${spec.name}: a choice has values, nothing else has`,
  );
  if (spec.values) {
    assert(spec.values.length > 0 && new Set(spec.values).size === spec.values.length, `${spec.name}: values`);
    assert(spec.default === undefined || spec.values.includes(String(spec.default)), `${spec.name}: default`);
  }
  if (spec.type === "flag") assert(["boolean", "undefined"].includes(typeof spec.default), `${spec.name}: default`);
  if (spec.type === "size" || spec.type === "number") {
    assert(["number", "undefined"].includes(typeof spec.default), `${spec.name}: default`);
    const value = Number(spec.default ?? spec.min ?? 0);
    assert((spec.min ?? value) <= value && value <= (spec.max ?? value), `${spec.name}: default within its limits`);
  }
}

function isOneLine(text: string): boolean {
  return /^[^\n]*\S$/.test(text) && !text.endsWith(".");
}

// deno-lint-ignore require-await
async function probesCarefully(format: Format, random: Rng): Promise<void> {
  for (const length of [0, 1, 3, 4, 7, 8, 16, 63, 100, 511, 512, 513, 1024, 4096, 70_000]) {
    for (const bytes of [new Uint8Array(length), random.bytes(length), new Uint8Array(length).fill(0xff)]) {
      assert.notEqual(format.probe(peekOf(bytes)), "yes", `${length} bytes`);
    }
  }
}

async function foreignBytes(format: Format, random: Rng): Promise<void> {
  for (
    const bytes of [
      new Uint8Array(0),
      new Uint8Array(70_000),
      random.bytes(1),
      random.bytes(5000),
      random.bytes(70_000),
    ]
  ) {
    const read = await tryToRead(format, { storage: { bytes: () => bytes }, named: new Map() }, MOST);
    if (read !== null && format.name === "raw") assertBytes(read, bytes);
  }
}

async function roundTrip(format: Format, options: OptionValues, random: Rng): Promise<void> {
  // An option that needs another one is tried with it among the mixed ones.
  if (Object.keys(options).length > 0 && !await plannable(format, options)) return;
  const { image, model } = await filled(format, options, random);
  const peek = peekOf(image.storage.bytes());
  if (format.name === "raw") assert.equal(format.probe(peek), "no", "raw never matches");
  else assert.equal(format.probe(peek), "yes");
  await verify(format, image, model, random);
}

async function mixedOptions(format: Format, random: Rng): Promise<void> {
  for (let round = 0, done = 0; done < rounds(5, 12) && round < 100; round++) {
    const options: { [name: string]: string | number | boolean } = {};
    for (const spec of format.createOptions) {
      const values = valuesOf(spec);
      if (values.length > 0 && random.chance(0.5)) options[spec.name] = random.pick(values);
    }
    if (!await plannable(format, options)) continue;
    const { image, model } = await filled(format, options, random);
    await verify(format, image, model, random);
    done++;
  }
}

/** A look-up in a table in memory returns no promise: a second walk, on storage without `holeAt`, never waits. */
async function cachesTables(format: Format, random: Rng): Promise<void> {
  for (const options of optionSets(format)) {
    if (!await plannable(format, options)) continue;
    const { image } = await filled(format, options, random);
    const disk = await openImage(format, image);
    for (const walk of ["first", "second"]) {
      for (let at = 0; at < disk.size;) {
        const extent = disk.extentAt(at, disk.size);
        assert(walk === "first" || !(extent instanceof Promise), `${describe(options)}: it waits at ${at}`);
        const { end } = await extent;
        assert(end > at, `${describe(options)}: an empty extent at ${at}`);
        at = end;
      }
    }
  }
}

async function sizes(format: Format, random: Rng): Promise<void> {
  for (const size of [0, 1, 511, 512, 513, 65_536, 65_537, 1_000_001]) {
    if (!await plannable(format, {}, size)) continue;
    const { image, model } = await filled(format, {}, random, size);
    assert(
      model.length >= size && model.length < size + 512 || format.name !== "raw",
      `${size} became ${model.length}`,
    );
    await verify(format, image, model, random);
  }
}

async function compressed(format: Format, random: Rng): Promise<void> {
  let clusters = 0;
  for (const options of optionSets(format)) {
    if (!await plannable(format, options, undefined, true)) continue;
    const { image, model } = await filled(format, options, random, undefined, { compress: true });
    await verify(format, image, model, random);
    clusters += await decompressElsewhere(format, image, model, random);
  }
  assert(clusters > 0, "some clusters are compressed");
}

/** Checks that compressed clusters decompress to the same bytes, with any room for them; returns their number. */
async function decompressElsewhere(format: Format, image: Image, model: Uint8Array, random: Rng): Promise<number> {
  const disk = await openImage(format, image);
  assert(disk.readCompressed, "a disk of a format with compression has readCompressed");
  let clusters = 0;
  for (let at = 0; at < disk.size;) {
    const extent = await disk.extentAt(at, disk.size);
    const end = Math.min(extent.end, alignDown(at, disk.clusterSize) + disk.clusterSize * random.int(1, 9));
    if (extent.kind === "data" && extent.compressed) {
      const room = new Uint8Array(random.int(0, 2 * (end - at)));
      let start = at;
      for (const cluster of await disk.readCompressed(room, at, end) ?? []) {
        const bytes = new Uint8Array(cluster.length);
        assert.equal(await inlineDecompressor(cluster.codec, cluster.bytes, bytes), true);
        assertBytes(bytes, model.subarray(start, start + cluster.length));
        start += cluster.length;
        clusters++;
      }
      assert(start === at || start === end, "all clusters or none");
    }
    at = end;
  }
  return clusters;
}

async function overBacking(format: Format, random: Rng): Promise<void> {
  for (const options of optionSets(format)) {
    if (!await plannable(format, options, undefined, false, true)) continue;
    for (const share of [0.6, 1.3]) {
      const size = await sizeFor(format, options);
      const backing = random.bytes(alignUp(Math.floor(size * share), 512));
      backing.fill(0, 8192, 40_000);
      const { image, model } = await filled(format, options, random, size, { backing });
      await verify(format, image, model, random, backing);
    }
  }
}

async function edited(format: Format, random: Rng): Promise<void> {
  for (const options of optionSets(format)) {
    if (!await plannable(format, options)) continue;
    const { image, model } = await filled(format, options, random);
    for (let round = 0; round < 3; round++) {
      const writer = await editImage(format, image, null);
      assert.equal(writer.traits.size, model.length);
      await workAtRandom(writer, model, random, 12);
      await writer.finish();
      await verify(format, image, model, random);
    }
  }
}

async function abandoned(format: Format, random: Rng): Promise<void> {
  await createImage(format, await sizeFor(format, {}));
  const second = await createImage(format, await sizeFor(format, {}));
  await workAtRandom(second.writer, new Uint8Array(second.writer.traits.size), random, 5);
  await tryToRead(format, second, MOST);
}

async function unknownSnapshot(format: Format, random: Rng): Promise<void> {
  const { image } = await filled(format, {}, random);
  await assert.rejects(openImage(format, image, "no such snapshot"), (error) => {
    assert(error instanceof ImageError, String(error));
    assert.equal(error.kind, "missing");
    return true;
  });
}

/** A copy that ends early is refused, or reads as the image did; what lay past the end may have become zero. */
async function cuts(format: Format, { image, model }: Filled, random: Rng): Promise<void> {
  const whole = image.storage.bytes();
  const lengths = new Set([...Array(130).keys()].map((count) => count * 4));
  for (let at = 512; at <= whole.length; at += 512) {
    if (random.chance(200 * 512 / whole.length)) lengths.add(at - 1).add(at);
  }
  for (const length of lengths) {
    if (length >= whole.length) continue;
    const storage = { bytes: () => whole.subarray(0, length) };
    const read = await tryToRead(format, { storage, named: image.named }, MOST);
    if (read === null) continue;
    assert.equal(tornAt(read, model, NOTHING), -1, `cut to ${length} bytes`);
  }
}

/** A damaged copy is refused, or read to the end; in neither case for long. */
async function flips(format: Format, { image }: Filled, random: Rng): Promise<void> {
  const whole = image.storage.bytes();
  const bytes = whole.slice();
  for (let count = 0; count < FLIPS; count++) {
    const reach = count % 4 === 0 ? bytes.length : Math.min(bytes.length, count % 4 === 1 ? 128 : 4096);
    const at = [...Array(random.int(1, 4))].map(() => random.int(reach));
    for (const offset of at) bytes[offset] = random.chance(0.3) ? random.pick([0, 0xff, 0x80]) : random.int(256);
    const began = performance.now();
    const change = `bytes ${at.map((offset) => `${offset}=${bytes[offset]}`).join(" ")}`;
    try {
      await tryToRead(format, { storage: { bytes: () => bytes }, named: image.named }, MOST);
    } catch (error) {
      throw new Error(`${change}: ${error}`, { cause: error });
    }
    for (const offset of at) bytes[offset] = whole[offset];
    assert(performance.now() - began < 10_000, `${change}: took ${Math.round(performance.now() - began)} ms`);
  }
}

/** A finished image and the bytes of its disk. */
interface Filled {
  readonly image: Image;
  readonly model: Uint8Array;
}

/** Creates an image of random content. */
async function filled(
  format: Format,
  options: OptionValues,
  random: Rng,
  size?: number,
  more: { readonly compress?: boolean; readonly backing?: Uint8Array } = {},
): Promise<Filled> {
  const creation = await createImage(format, size ?? await sizeFor(format, options), options, more);
  const { writer } = creation;
  const model = resized(more.backing ?? new Uint8Array(0), writer.traits.size);
  // Some subformats always compress.
  if (more.compress) assert.equal(writer.traits.compress, true, "the writer compresses");
  await workAtRandom(writer, model, random, 25);
  await writer.finish();
  return { image: creation, model };
}

async function verify(
  format: Format,
  image: Image,
  model: Uint8Array,
  random: Rng,
  backing: Uint8Array = new Uint8Array(0),
): Promise<void> {
  const disk = await openImage(format, image);
  assert.equal(disk.format, format.name);
  assert.equal(disk.size, model.length);
  assert(disk.clusterSize >= 1);
  assert.equal(disk.backing === null, backing.length === 0);
  JSON.stringify(disk.info);
  assertBytes(await readAll(disk, backing), model);
  await readAtRandom(disk, model, backing, random);
}

/** Some clusters and a part of one, of a size that is no multiple of anything but a sector. */
async function sizeFor(format: Format, options: OptionValues): Promise<number> {
  const { writer } = await createImage(format, 1 << 20, options);
  const { clusterSize } = writer.traits;
  const clusters = clusterSize > LARGEST / 8
    ? 2
    : clusterSize < 4096
    ? Math.max(1, Math.floor(200_000 / clusterSize))
    : 7;
  return alignUp(clusters * clusterSize + Math.floor(clusterSize / 3), 512) + 512;
}

/** Whether the format takes these options together; a refusal must be `usage`. */
async function plannable(
  format: Format,
  options: OptionValues,
  size = 1 << 20,
  compress = false,
  backing = false,
): Promise<boolean> {
  try {
    await format.checkPlan?.({
      size,
      options,
      compress,
      backing: backing ? { name: "backing.raw", format: "raw" } : null,
    });
    return true;
  } catch (error) {
    assert(error instanceof ImageError && error.kind === "usage", String(error));
    return false;
  }
}

function describe(options: OptionValues): string {
  const list = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return list.length > 0 ? list.join(",") : "default options";
}
