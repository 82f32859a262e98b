import assert from "node:assert/strict";
import fc from "fast-check";
import { chainOf } from "../../../core/open/chain.ts";
import { concatenate, pad } from "../../../core/open/readers.ts";
import {
  dataExtent,
  type Disk,
  type ExtentKind,
  type GuestReader,
  holeExtent,
  zeroExtent,
} from "../../../formats/mod.ts";
import { seed } from "../../support/qemu.ts";

/** A layer of 1-byte cells: a letter is data, `0` stated zero, `.` a hole; extents end at multiples of `clusterSize`. */
function layer(cells: string, clusterSize = 1): Disk {
  const kindAt = (at: number): ExtentKind => cells[at] === "." ? "hole" : cells[at] === "0" ? "zero" : "data";
  return {
    format: "test",
    size: cells.length,
    clusterSize,
    backing: null,
    info: {},
    extentAt(start, limit) {
      assert.ok(start < limit && limit <= cells.length, "the contract of extentAt is kept");
      let end = start + 1;
      while (end < limit && end % clusterSize !== 0 && kindAt(end) === kindAt(start)) end++;
      const kind = kindAt(start);
      return Promise.resolve(
        kind === "data" ? dataExtent(start, end) : kind === "zero" ? zeroExtent(start, end) : holeExtent(start, end),
      );
    },
    read(into, start) {
      for (let index = 0; index < into.length; index++) {
        assert.equal(kindAt(start + index), "data", "only data of this layer is read");
        into[index] = cells.charCodeAt(start + index);
      }
      return Promise.resolve();
    },
  };
}

async function content(reader: GuestReader, start = 0, length = reader.size - start): Promise<string> {
  const bytes = new Uint8Array(length).fill(0x3f);
  await reader.read(bytes, start);
  return [...bytes].map((byte) => byte === 0 ? "0" : String.fromCharCode(byte)).join("");
}

async function statuses(reader: GuestReader): Promise<string> {
  let text = "";
  for (let at = 0; at < reader.size;) {
    const extent = await reader.extentAt(at, reader.size);
    assert.equal(extent.start, at);
    assert.ok(extent.end > at && extent.end <= reader.size);
    text += { data: "d", zero: "z", hole: "h" }[extent.kind].repeat(extent.end - at);
    at = extent.end;
  }
  return text;
}

Deno.test("chainOf: the first layer that states something wins", async () => {
  const chain = chainOf([layer("a.0.", 2), layer("bbb.", 3)]);
  assert.equal(await content(chain), "ab00");
  assert.equal(await statuses(chain), "ddzz");
});

Deno.test("chainOf: a shorter layer hides the rest of a longer one behind it", async () => {
  const chain = chainOf([layer("......"), layer("b."), layer("cccccc")]);
  assert.equal(await content(chain), "bc0000");
});

Deno.test("chainOf: layers that are not kept are holes, but are read all the same", async () => {
  const chain = chainOf([layer("a.0."), layer("bbbb")], 1);
  assert.equal(await statuses(chain), "dhzh");
  assert.equal(await content(chain), "ab0b");
});

Deno.test("chainOf: without another layer there are no holes", async () => {
  assert.equal(await statuses(chainOf([layer("a.0.")], 1)), "dzzz");
});

Deno.test("chainOf: random layers of different lengths and cluster sizes read as the model says", async () => {
  const cells = fc.array(fc.constantFrom("a", "b", "0", ".", ".", "."), { minLength: 1, maxLength: 24 });
  const layers = fc.array(fc.tuple(cells, fc.integer({ min: 1, max: 7 })), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(layers, async (made) => {
      const chain = chainOf(made.map(([row, clusterSize]) => layer(row.join(""), clusterSize)));
      let model = "";
      for (let at = 0; at < made[0][0].length; at++) {
        let found = "0";
        for (const [row] of made) {
          if (at >= row.length) break;
          if (row[at] === ".") continue;
          found = row[at];
          break;
        }
        model += found;
      }
      assert.equal(await content(chain), model);
      assert.equal((await statuses(chain)).length, model.length);
    }),
    { seed: seed() },
  );
});

Deno.test("concatenate: extents end where a part ends, reads go across", async () => {
  const joined = concatenate([
    chainOf([layer("ab")]),
    chainOf([layer("")]),
    chainOf([layer("0c", 2)]),
    chainOf([layer("ddd")]),
  ]);
  assert.equal(joined.size, 7);
  assert.equal(await content(joined), "ab0cddd");
  assert.equal(await content(joined, 1, 4), "b0cd");
  assert.equal(await statuses(joined), "ddzdddd");
  assert.equal(await content(joined, 5, 4), "dd00");
});

Deno.test("pad: the rest of the last sector is zero", async () => {
  const reader = pad(chainOf([layer("abc")]), 8);
  assert.equal(await content(reader), "abc00000");
  assert.equal(await statuses(reader), "dddzzzzz");
  assert.equal(await content(reader, 4, 3), "000");
});
