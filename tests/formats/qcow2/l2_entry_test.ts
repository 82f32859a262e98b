import assert from "node:assert/strict";
import {
  CLUSTER,
  clusterStatus,
  compressedOffsetLimit,
  decodeCompressed,
  geometryOf,
  hostOffsetOf,
  isCompressed,
  isCopied,
  l1EntriesFor,
  l1IndexOf,
  l2IndexOf,
  setCompressed,
  setEntry,
  setSubclusters,
  subclusterOf,
  subclusterStatus,
} from "../../../formats/qcow2/mapping/l2_entry.ts";
import { rng, seed } from "../../support/qemu.ts";

Deno.test("compressed descriptors are those of the specification", () => {
  // Clusters of 64 KiB, so x = 54. Bytes 0x12345 to 0x12345 + 700; the last one lies in the next sector.
  const view = new DataView(new ArrayBuffer(8));
  setCompressed(view, 0, 16, 0x12345, 700);
  assert.equal(view.getBigUint64(0), 1n << 62n | 2n << 54n | 0x12345n);
  const span = decodeCompressed(16, view.getUint32(0), view.getUint32(4));
  assert.deepEqual(span, { fileOffset: 0x12345, length: 3 * 512 - (0x12345 & 511) });
});

Deno.test("compressed descriptors keep offset and length for every cluster size", () => {
  const random = rng(seed());
  const view = new DataView(new ArrayBuffer(8));
  for (let clusterBits = 9; clusterBits <= 21; clusterBits++) {
    const limit = compressedOffsetLimit(clusterBits);
    assert.equal(limit, 2 ** Math.min(56, 62 - (clusterBits - 8)));
    for (let round = 0; round < 200; round++) {
      const fileOffset = round === 0
        ? Math.min(limit, 2 ** 53) - 1
        : Math.floor(random.int(2 ** 31) * (limit / 2 ** 32));
      if (fileOffset > Number.MAX_SAFE_INTEGER) continue;
      const length = 1 + random.int(2 ** clusterBits - 1);
      setCompressed(view, 0, clusterBits, fileOffset, length);
      assert.ok(isCompressed(view.getUint32(0)) && !isCopied(view.getUint32(0)));
      const span = decodeCompressed(clusterBits, view.getUint32(0), view.getUint32(4));
      assert.equal(span.fileOffset, fileOffset);
      assert.ok(span.length >= length && span.length < length + 512);
      assert.equal((span.fileOffset + span.length) % 512, 0);
    }
  }
});

Deno.test("standard entries keep host offset, zero flag and copied flag", () => {
  const random = rng(seed());
  const view = new DataView(new ArrayBuffer(16));
  for (let round = 0; round < 500; round++) {
    const fileOffset = random.int(2 ** 31) * 512 * random.pick([1, 1024]);
    const copied = random.chance(0.5);
    const zero = random.chance(0.5);
    setEntry(view, 0, fileOffset, copied, zero);
    assert.equal(view.getBigUint64(0), BigInt(fileOffset) | (copied ? 1n << 63n : 0n) | (zero ? 1n : 0n));
    const [high, low] = [view.getUint32(0), view.getUint32(4)];
    assert.equal(hostOffsetOf(high, low), fileOffset);
    assert.equal(isCopied(high), copied);
    const allocated = fileOffset !== 0;
    const expected = zero
      ? (allocated ? CLUSTER.zeroAllocated : CLUSTER.zero)
      : (allocated ? CLUSTER.data : CLUSTER.unallocated);
    assert.equal(clusterStatus(high, low, false, false), expected);
  }
});

Deno.test("host offset 0 counts as allocated in external data alone, and there with bit 63", () => {
  assert.equal(clusterStatus(0x80000000, 0, false, true), CLUSTER.data);
  assert.equal(clusterStatus(0x80000000, 1, false, true), CLUSTER.zeroAllocated);
  assert.equal(clusterStatus(0, 0, false, true), CLUSTER.unallocated);
  assert.equal(clusterStatus(0x80000000, 0, false, false), CLUSTER.unallocated);
});

Deno.test("subclusters have their status in both halves of the bitmap", () => {
  const view = new DataView(new ArrayBuffer(16));
  setSubclusters(view, 0, 0x80000001, 0x40000002);
  const status = (index: number) => subclusterStatus(view.getUint32(8), view.getUint32(12), index);
  assert.deepEqual([0, 1, 2, 30, 31].map(status), [
    CLUSTER.zero,
    CLUSTER.data,
    CLUSTER.unallocated,
    CLUSTER.data,
    CLUSTER.zero,
  ]);
});

Deno.test("guest offsets are cut by cluster, table and subcluster", () => {
  const plain = geometryOf({ clusterBits: 16, extendedL2: false });
  assert.equal(plain.l2Reach, 512 << 20);
  const guest = 3 * plain.l2Reach + 5 * 65536 + 4097;
  assert.equal(l1IndexOf(plain, guest), 3);
  assert.equal(l2IndexOf(plain, guest), 5);
  assert.equal(subclusterOf(plain, guest), 0);
  assert.equal(l1EntriesFor(plain, guest), 4);
  const extended = geometryOf({ clusterBits: 16, extendedL2: true });
  assert.equal(extended.l2Reach, 256 << 20);
  assert.equal(extended.subclusterSize, 2048);
  assert.equal(subclusterOf(extended, guest), 2);
  // Above 32 bits.
  const far = 2 ** 50 + 65536 * 7;
  assert.equal(l1IndexOf(plain, far), 2 ** 50 / plain.l2Reach);
  assert.equal(l2IndexOf(plain, far), 7);
});
