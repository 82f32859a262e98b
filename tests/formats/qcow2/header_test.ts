import assert from "node:assert/strict";
import { ImageError } from "../../../formats/errors.ts";
import {
  encodeHeader,
  FEATURE_NAMES,
  type Header,
  HEADER_LENGTH_CURRENT,
  HEADER_LENGTH_V2,
  NO_BITS,
  parseHeader,
} from "../../../formats/qcow2/header/header.ts";
import { geometryOf, l1EntriesFor } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { hasQemu, qemuImgOk, type Rng, rng, scratch, seed } from "../../support/qemu.ts";

const FILE_SIZE = 2 ** 40;

/** Returns a random valid header. */
function randomHeader(random: Rng): Header {
  const version = random.chance(0.3) ? 2 : 3;
  const extendedL2 = version === 3 && random.chance(0.3);
  const clusterBits = random.int(extendedL2 ? 14 : 9, 22);
  const clusterSize = 2 ** clusterBits;
  const externalData = version === 3 && random.chance(0.3);
  const rawExternalData = externalData && random.chance(0.5);
  const v3 = (probability: number) => version === 3 && random.chance(probability);
  const clusterOffset = () => random.int(1, 1 << 18) * clusterSize;
  const size = random.int(2 ** 31) * random.pick([1, 16]);
  const needed = l1EntriesFor(geometryOf({ clusterBits, extendedL2 }), size);
  const roomy = clusterSize >= 4096;
  const bitmapsConsistent = v3(0.3);
  const unknownFields = roomy && v3(0.3) ? random.bytes(8 * random.int(1, 8)) : new Uint8Array(0);
  return {
    version,
    clusterBits,
    clusterSize,
    size: needed * 8 > 32 << 20 ? clusterSize : size,
    backing: rawExternalData || random.chance(0.5)
      ? null
      : random.chance(0.5)
      ? { name: "bäse.img" }
      : { name: "../a b.qcow2", format: "qcow2" },
    l1: { fileOffset: clusterOffset(), entries: needed * 8 > 32 << 20 ? 1 : needed + 1 },
    refcountTable: { fileOffset: clusterOffset(), clusters: random.int(1, Math.min(5, (8 << 20) / clusterSize + 1)) },
    refcountOrder: version === 2 ? 4 : random.int(7),
    snapshots: externalData || random.chance(0.5)
      ? { fileOffset: 0, count: 0 }
      : { fileOffset: clusterOffset(), count: random.int(65537) },
    headerLength: version === 2 ? HEADER_LENGTH_V2 : HEADER_LENGTH_CURRENT + unknownFields.length,
    dirty: v3(0.2),
    corrupt: v3(0.2),
    externalData,
    compressionType: v3(0.3) ? "zstd" : "zlib",
    extendedL2,
    lazyRefcounts: v3(0.3),
    bitmapsConsistent,
    rawExternalData,
    unknownCompatible: v3(0.2) ? { high: 0x80000001, low: 0x80000002 } : NO_BITS,
    unknownAutoclear: v3(0.2) ? { high: 0xffffffff, low: 0xfffffffc } : NO_BITS,
    dataFileName: externalData ? "data.raw" : null,
    bitmaps: bitmapsConsistent ? { count: 3, directorySize: 96, directoryFileOffset: clusterOffset() } : null,
    featureNames: version === 3 && roomy ? FEATURE_NAMES : [],
    unknownExtensions: roomy && random.chance(0.3) ? [{ type: 0xdeadbeef, data: random.bytes(random.int(40)) }] : [],
    unknownFields,
  };
}

Deno.test("a qcow2 header survives encoding and parsing", () => {
  const random = rng(seed());
  for (let round = 0; round < 500; round++) {
    const header = randomHeader(random);
    const bytes = encodeHeader(header);
    assert.equal(bytes.length, header.clusterSize);
    assert.deepEqual(parseHeader(bytes, "a.qcow2", FILE_SIZE), header);
  }
});

Deno.test("a qcow2 header of qemu-img comes back byte for byte", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const variants = ["compat=0.10", "compat=1.1", "cluster_size=512", "compression_type=zstd,extended_l2=on"];
  variants.push(`data_file=${folder.file("d")},data_file_raw=on`, "lazy_refcounts=on,refcount_bits=1");
  for (const options of variants) {
    for (const backing of [[], ["-u", "-b", "base", "-F", "raw"]]) {
      // qemu-img cannot fit the name into 512 bytes.
      if (backing.length > 0 && /raw=on|=512/.test(options)) continue;
      await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, ...backing, path, "1M");
      const file = await Deno.readFile(path);
      const header = parseHeader(file.subarray(0, 2 << 20), path, file.length);
      assert.deepEqual(encodeHeader(header), file.slice(0, header.clusterSize), options);
    }
  }
});

Deno.test("the feature name table is left out where the first cluster is full", () => {
  const random = rng(1);
  const base: Header = { ...randomHeader(random), version: 3, clusterBits: 9, clusterSize: 512, size: 512 };
  const header: Header = {
    ...base,
    ...{ extendedL2: false, externalData: false, rawExternalData: false, dataFileName: null, bitmaps: null },
    ...{ bitmapsConsistent: false, unknownFields: new Uint8Array(0), unknownExtensions: [], headerLength: 112 },
    ...{ l1: { fileOffset: 512, entries: 1 }, refcountTable: { fileOffset: 1024, clusters: 1 }, refcountOrder: 4 },
    featureNames: FEATURE_NAMES,
    backing: { name: "x".repeat(300), format: "raw" },
  };
  const back = parseHeader(encodeHeader(header), "a.qcow2", FILE_SIZE);
  assert.deepEqual(back, { ...header, featureNames: [] });
  const refused = (changes: Partial<Header>, message: RegExp) =>
    assert.throws(
      () => encodeHeader({ ...header, ...changes }),
      (error) => error instanceof ImageError && error.kind === "usage" && message.test(error.message),
    );
  refused({ backing: { name: "x".repeat(400) } }, /must fit a cluster of 512$/);
  refused({ backing: { name: "x".repeat(1024) } }, /has 1024 bytes, must have at most 1023$/);
  refused({ backing: { name: "x", format: "sixteen-letters-" } }, /backing format has 16 bytes/);
});

Deno.test("features that are not known are refused by the name that the image gives", () => {
  const random = rng(2);
  const plain = randomHeader(random);
  const header: Header = {
    ...plain,
    ...{ version: 3, clusterBits: 16, clusterSize: 65536, headerLength: 112, unknownFields: new Uint8Array(0) },
    featureNames: [...FEATURE_NAMES, { field: 0, bit: 40, name: "time travel" }, { field: 1, bit: 5, name: "wrong" }],
  };
  const bytes = encodeHeader(header);
  bytes[74] = 1; // bit 40
  bytes[76 + 3]! |= 0x20; // bit 5
  assert.throws(
    () => parseHeader(bytes, "a.qcow2", FILE_SIZE),
    (error) =>
      error instanceof ImageError && error.kind === "unsupported" &&
      error.message.endsWith('features that are not known here: bit 5, "time travel" (bit 40)'),
  );
});
