/** The digest `blocks-sha256`, computed here from its definition alone. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { blocksHasherOf } from "../../core/blocks_hasher.ts";
import { digest } from "../../core/digest.ts";
import type { WorkerIo } from "../../core/workers/worker_io.ts";
import { convert, createImage } from "../../mod.ts";
import { diskcast } from "../support/diskcast.ts";
import { Buffer } from "node:buffer";
import { hasQemu, qemuImgOk, rng, scratch, seed } from "../support/qemu.ts";
import { readyWorkerIo } from "../support/workers.ts";

const BLOCK = 65536;
const MIB = 1 << 20;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const algorithm = "blocks-sha256";

/** The digests of all blocks in order, then the size as 8 bytes, least significant first. */
function expectedOf(bytes: Uint8Array): string {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK) parts.push(sha256(bytes.subarray(at, at + BLOCK)));
  const size = new Uint8Array(8);
  for (let nth = 0, rest = bytes.length; nth < 8; nth++, rest = Math.floor(rest / 256)) size[nth] = rest % 256;
  return sha256(Buffer.concat([...parts, size])).toString("hex");
}

/** Bytes with zeroes of any length between data. */
function patchy(length: number, seedOf: number): Uint8Array {
  const random = rng(seedOf);
  const bytes = random.bytes(length);
  for (let at = 0; at < length;) {
    const end = Math.min(length, at + random.int(1, 3 * BLOCK));
    if (random.int(2) === 0) bytes.fill(0, at, end);
    at = end;
  }
  return bytes;
}

Deno.test("blocks-sha256 of sizes around whole blocks, and of nothing", () => {
  for (const length of [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 77]) {
    for (const bytes of [new Uint8Array(length), new Uint8Array(length).fill(7)]) {
      const hash = blocksHasherOf();
      hash.data(bytes);
      assert.equal(hash.hex(), expectedOf(bytes));
    }
  }
  // As another program computed it: SHA-256 of the digest of "abc", and of 3 as 8 bytes.
  const hash = blocksHasherOf();
  hash.data(new TextEncoder().encode("abc"));
  assert.equal(hash.hex(), ABC);
});

/** By python3: `d = hashlib.sha256; d(d(b"abc").digest() + (3).to_bytes(8, "little")).hexdigest()`. */
const ABC = "39e6ecbb90eec724b8db13f608fbf85c4ead558d6dfbbf2942ab4d6a6d536457";

Deno.test("blocks-sha256 does not depend on how the bytes come: data, zeroes, digests of blocks", () => {
  const random = rng(seed());
  for (let round = 0; round < 20; round++) {
    const bytes = patchy(random.int(1, 12 * BLOCK), seed() + round);
    const hash = blocksHasherOf();
    for (let at = 0; at < bytes.length;) {
      const isZero = bytes[at] === 0;
      let end = at + 1;
      while (isZero && end < bytes.length && bytes[end] === 0) end++;
      if (isZero && random.int(3) > 0) hash.zeroes(end - at);
      else if (at % BLOCK === 0 && random.int(2) === 0) {
        end = Math.min(bytes.length, at + BLOCK);
        hash.blocks(sha256(bytes.subarray(at, end)), end - at);
      } else {
        end = Math.min(bytes.length, at + random.int(1, 2 * BLOCK));
        hash.data(bytes.subarray(at, end));
      }
      at = end;
    }
    assert.equal(hash.hex(), expectedOf(bytes));
  }
});

Deno.test(
  "digest and convert: the same blocks-sha256 for all formats, compressed or not",
  { ignore: !hasQemu },
  async () => {
    await using folder = await scratch();
    const bytes = patchy(5 * MIB + 512, seed());
    const raw = folder.file("a.raw");
    await Deno.writeFile(raw, bytes);
    const expected = expectedOf(bytes);
    const source = { path: raw, format: "raw" };
    for (const format of ["qcow2", "vmdk", "vdi"]) {
      for (const compress of format === "qcow2" ? [false, true] : [false]) {
        const path = folder.file(`a.${format}`);
        await Deno.remove(path).catch(() => {});
        const { blocksSha256, sha256 } = await convert({
          sources: [source],
          target: { path, format, compress },
          digest: algorithm,
        });
        assert.deepEqual([blocksSha256, sha256], [expected, undefined]);
        assert.equal((await digest({ path, format }, { algorithm })).blocksSha256, expected);
      }
    }
    const line = `BLOCKS-SHA256 (${raw}) = ${expected}\n`;
    assert.equal((await diskcast("digest", "-f", "raw", "--algorithm=blocks-sha256", raw)).stdout, line);
    const json = JSON.parse(
      (await diskcast("digest", "--algorithm", algorithm, "--output=json", "-f", "raw", raw)).stdout,
    );
    assert.deepEqual([json["blocks-sha256"], json["sha256"]], [expected, undefined]);
    const target = folder.file("b.qcow2");
    const args = ["convert", "-f", "raw", "-O", "qcow2", "--digest-algorithm=blocks-sha256", raw, target];
    assert.equal((await diskcast(...args)).stdout, line.replace(raw, target));
    assert.match((await diskcast("digest", "--algorithm=md5", raw)).stderr, /must be sha256 or blocks-sha256/);
  },
);

Deno.test({
  name: "workers compute the digests of blocks; where one fails, this thread does",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    const bytes = patchy(20 * MIB + 4096, seed());
    const path = folder.file("a.raw");
    await Deno.writeFile(path, bytes);
    for (const failing of [0, 2]) {
      const io = await readyWorkerIo();
      let requests = 0;
      const counted: WorkerIo = {
        ...io,
        hash: (request) => ++requests === failing ? Promise.resolve(null) : io.hash(request),
      };
      const found = await digest({ path, format: "raw" }, { algorithm, workerIo: counted });
      assert.equal(found.blocksSha256, expectedOf(bytes));
      assert.ok(requests >= 4, `${requests} requests`);
    }
  },
});

Deno.test("terabytes of zeroes: the digest is that of the definition, and nothing is read", async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const size = 2 ** 36 + 512;
  await createImage({ path, format: "qcow2", size });
  const list = createHash("sha256");
  const zeroBlock = sha256(new Uint8Array(BLOCK));
  const many = Buffer.concat(new Array(1024).fill(zeroBlock));
  for (let count = 0; count < 2 ** 20; count += 1024) list.update(many);
  list.update(sha256(new Uint8Array(512))).update(new Uint8Array([0, 2, 0, 0, 16, 0, 0, 0]));
  const { blocksSha256, totals } = await digest(path, { algorithm });
  assert.deepEqual([blocksSha256, totals.data], [list.digest("hex"), 0]);
});

Deno.test("progress of sha256 counts all bytes, of blocks-sha256 the data", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", path, "64M");
  for (const one of ["sha256", algorithm] as const) {
    const totals: unknown[] = [];
    await digest(path, { algorithm: one, onEvent: (event) => event.type === "totals" && totals.push(event.hashesAll) });
    assert.deepEqual(totals, [one === "sha256" ? true : undefined]);
  }
});
