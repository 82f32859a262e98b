/** Into which pieces a copy cuts its steps. */
import assert from "node:assert/strict";
import { bufferSizeOf, pieceSizesOf } from "../../../core/copy/piece_size.ts";
import { fakeReader, jobOf, recordingWriter } from "../../support/copying.ts";

const KIB = 1024;

/** The sizes for a source and a target of these cluster sizes. */
function sizes(source: number, clusterSize: number, compress: boolean, sparseSize = 4096, more = {}) {
  const reader = fakeReader(new Uint8Array(0), [], { clusterSize: source });
  const writer = recordingWriter({ size: 0, clusterSize, compress, ...more });
  return pieceSizesOf(jobOf(reader, writer, { sparseSize }));
}

Deno.test("pieceSizesOf: 1 MiB of plain data, 512 KiB where a codec works", () => {
  assert.deepEqual(sizes(1, 1, false), { plain: 1024 * KIB, compressed: 512 * KIB });
  assert.deepEqual(sizes(64 * KIB, 64 * KIB, true), { plain: 512 * KIB, compressed: 512 * KIB });
});

Deno.test("pieceSizesOf: whole clusters of a target that compresses, and of the source where that is compressed", () => {
  assert.deepEqual(sizes(1, 2048 * KIB, true), { plain: 2048 * KIB, compressed: 2048 * KIB });
  assert.deepEqual(sizes(2048 * KIB, 64 * KIB, true), { plain: 512 * KIB, compressed: 2048 * KIB });
  assert.deepEqual(sizes(2048 * KIB, 64 * KIB, false), { plain: 1024 * KIB, compressed: 2048 * KIB });
  // A large cluster of a target that stores data as it is need not be written at once.
  assert.deepEqual(sizes(1, 2048 * KIB, false), { plain: 1024 * KIB, compressed: 512 * KIB });
});

Deno.test("pieceSizesOf: a piece holds a block of zero detection, where zeroes are looked for", () => {
  assert.deepEqual(sizes(1, 1, false, 4096 * KIB), { plain: 4096 * KIB, compressed: 4096 * KIB });
  const written = { startsZeroed: false, zeroes: "written" };
  assert.deepEqual(sizes(1, 1, false, 4096 * KIB, written), { plain: 1024 * KIB, compressed: 512 * KIB });
  assert.deepEqual(sizes(1, 1, false, 0), { plain: 1024 * KIB, compressed: 512 * KIB });
});

Deno.test("bufferSizeOf: any piece, and a compressed one that did not become smaller", () => {
  assert.equal(bufferSizeOf({ plain: 1024 * KIB, compressed: 512 * KIB }), 1024 * KIB);
  assert.equal(bufferSizeOf({ plain: 512 * KIB, compressed: 512 * KIB }), 576 * KIB);
});
