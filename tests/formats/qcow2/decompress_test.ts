import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, deflateRawSync, zstdCompressSync } from "node:zlib";
import { ImageError } from "../../../formats/errors.ts";
import { decompressCluster } from "../../../formats/qcow2/clusters/decompress.ts";
import { zstdFrameLength } from "../../../formats/qcow2/clusters/zstd_frames.ts";
import { rng, seed } from "../../support/qemu.ts";

const CLUSTER_SIZE = 65536;

function content(): Uint8Array {
  const random = rng(seed());
  return new Uint8Array(CLUSTER_SIZE).map((_, at) => at < 20_000 ? random.int(256) : at < 40_000 ? 0 : random.int(3));
}

/** Returns the stream, followed by bytes of other clusters in its last sector. */
function withRest(...parts: Uint8Array[]): Uint8Array {
  return Buffer.concat([...parts, new Uint8Array(300).fill(0x28), zstdCompressSync(new Uint8Array(100))]);
}

function refused(compressed: Uint8Array, type: "zlib" | "zstd"): string {
  try {
    decompressCluster(compressed, type, CLUSTER_SIZE, "the cluster", "a.qcow2");
  } catch (error) {
    assert.ok(error instanceof ImageError && error.kind === "corrupt", String(error));
    return error.message;
  }
  assert.fail("it must be refused");
}

Deno.test("deflate streams are decompressed with any window, whatever follows", () => {
  const cluster = content();
  for (const windowBits of [9, 12, 15]) {
    const compressed = withRest(deflateRawSync(cluster, { windowBits }));
    assert.deepEqual(Buffer.compare(decompressCluster(compressed, "zlib", CLUSTER_SIZE, "c", "a"), cluster), 0);
  }
});

Deno.test("zstd frames are decompressed one or many, whatever follows", () => {
  const cluster = content();
  const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
  const sized = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } };
  const skippable = new Uint8Array([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]);
  const [first, second] = [cluster.subarray(0, 30_000), cluster.subarray(30_000)];
  const streams = [
    [zstdCompressSync(cluster)],
    [zstdCompressSync(cluster, checked)],
    [zstdCompressSync(cluster, sized)],
    [zstdCompressSync(cluster, { params: { [constants.ZSTD_c_compressionLevel]: 19 } })],
    [zstdCompressSync(first), zstdCompressSync(second, checked)],
    [zstdCompressSync(first, sized), zstdCompressSync(new Uint8Array(0)), zstdCompressSync(second)],
    [skippable, zstdCompressSync(first), skippable, zstdCompressSync(second)],
  ];
  for (const stream of streams) {
    const decompressed = decompressCluster(withRest(...stream), "zstd", CLUSTER_SIZE, "c", "a");
    assert.equal(Buffer.compare(decompressed, cluster), 0);
  }
});

Deno.test("the length of a zstd frame is found for all small and large contents", () => {
  for (const length of [0, 1, 255, 256, 257, 65791, 65792, 200_000, 1_000_000]) {
    for (const data of [new Uint8Array(length), rng(length + 1).bytes(length)]) {
      const stream = zstdCompressSync(data);
      const bytes = Buffer.concat([new Uint8Array(3), stream, new Uint8Array(50).fill(0xff)]);
      // The encoder may end a stream with an empty frame.
      let at = 3;
      for (let next = zstdFrameLength(bytes, at); next !== null; next = zstdFrameLength(bytes, at)) {
        for (const cut of [1, 2, 5]) assert.equal(zstdFrameLength(bytes.subarray(0, at + next - cut), at), null);
        at += next;
      }
      assert.equal(at, 3 + stream.length);
    }
  }
});

Deno.test("streams that are damaged, short or long are refused", () => {
  const cluster = content();
  const short = cluster.subarray(0, CLUSTER_SIZE - 1);
  const long = Buffer.concat([cluster, new Uint8Array(1)]);
  assert.match(refused(deflateRawSync(short), "zlib"), /it gives 65535 bytes, must be 65536/);
  assert.match(refused(deflateRawSync(long), "zlib"), /it gives more than the 65536 bytes/);
  assert.match(refused(deflateRawSync(cluster).subarray(0, 9000), "zlib"), /it gives \d+ bytes, must be 65536/);
  assert.match(refused(new Uint8Array(512).fill(0xff), "zlib"), /the stream is damaged/);
  assert.match(refused(new Uint8Array(0), "zlib"), /it gives 0 bytes|damaged/);
  assert.match(refused(zstdCompressSync(short), "zstd"), /it gives 65535 bytes/);
  assert.match(refused(zstdCompressSync(long), "zstd"), /it gives more than the 65536 bytes/);
  assert.match(refused(zstdCompressSync(cluster).subarray(0, 9000), "zstd"), /it gives 0 bytes/);
  const broken = zstdCompressSync(cluster, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  broken[10_000]! ^= 1;
  assert.match(refused(broken, "zstd"), /the stream is damaged/);
});
