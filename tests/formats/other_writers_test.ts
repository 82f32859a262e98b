/**
 * Structures of other writers: what a format does not define, or defines as optional, stays as it is after every verb, or
 * the verb refuses the image and writes nothing.
 */
import assert from "node:assert/strict";
import type { Format } from "../../formats/mod.ts";
import { MemoryStorage } from "../../formats/storage/memory.ts";
import type { WritableStorage } from "../../formats/storage/types.ts";
import { qcow2 } from "../../formats/qcow2/mod.ts";
import { vdi } from "../../formats/vdi/mod.ts";
import { vhdx } from "../../formats/vhdx/mod.ts";
import { vmdk } from "../../formats/vmdk/mod.ts";
import { changeContext, createImage, editImage } from "../support/model.ts";
import { RecordingStorage } from "../support/storage.ts";
import { AT as VDI, buildVdi, FREE } from "./vdi/build.ts";
import { AT, build, GUID, itemsFor, MIB, putMetadata, putRegions, setBat } from "./vhdx/build.ts";
import { descriptor, sparse } from "./vmdk/build.ts";

/** An image with structures of other writers. */
interface Case {
  readonly name: string;
  readonly format: Format;
  readonly bytes: Uint8Array;
  /** Returns the structures that must stay. */
  kept(bytes: Uint8Array): string;
  /** Verbs that must refuse the image. */
  readonly refused?: readonly string[];
}

type Verb = (storage: WritableStorage, format: Format) => Promise<unknown> | undefined;

const context = changeContext();
const now = { name: "s", dateSeconds: 0, dateNanoseconds: 0 };

const VERBS: Readonly<Record<string, Verb>> = {
  async write(storage, format) {
    const writer = await editImage(format, { storage: storage as MemoryStorage, named: new Map() }, null);
    await writer.write(new Uint8Array(4096).fill(9), 0);
    await writer.zero(4096, writer.traits.size);
    await writer.finish();
  },
  grow: (storage, { maintenance }) => maintenance?.resize?.(storage, 64 * MIB, "off", context),
  preallocate: (storage, { maintenance }) => maintenance?.resize?.(storage, 8 * MIB, "metadata", context),
  shrink: (storage, { maintenance }) => maintenance?.resize?.(storage, MIB, "off", context),
  repair: (storage, { maintenance }) => maintenance?.repair?.(storage, "all", context),
  "free leaks": (storage, { maintenance }) => maintenance?.repair?.(storage, "leaks", context),
  rebase: (storage, { maintenance }) => maintenance?.setBacking?.(storage, null),
  empty: (storage, { maintenance }) => maintenance?.empty?.(storage, context),
  deallocate: (storage, { maintenance }) => maintenance?.deallocate?.(storage, [{ start: 0, end: MIB }], context),
  snapshot: (storage, { maintenance }) => maintenance?.snapshots?.create(storage, now, context),
  bitmap: (storage, { maintenance }) =>
    maintenance?.bitmaps?.change(storage, "b", [{ action: "add", granularity: null, enabled: true }], context),
  amend: (storage, { maintenance }) => maintenance?.amend?.run(storage, { refcount_bits: 8 }, context),
};

function vhdxCase(): Case {
  const other = "aaaaaaaa-0000-4000-8000-00000000000a";
  const blocks = { 0: { state: 6, content: new Uint8Array(MIB).fill(1) } };
  const bytes = new Uint8Array(AT.blocks + 3 * MIB);
  bytes.set(build({ size: 4 * MIB, blocks }));
  // An unknown region in the second MiB behind the first block, and a block behind it.
  const regionAt = AT.blocks + MIB;
  bytes.fill(0xab, regionAt, regionAt + MIB);
  bytes.fill(2, regionAt + MIB);
  setBat(new DataView(bytes.buffer), 3, 6, regionAt + MIB);
  const known = [[GUID.bat, AT.bat, MIB, 1], [GUID.metadata, AT.metadata, MIB, 1]] as const;
  putRegions(bytes, [...known, [other, regionAt, MIB, 0]]);
  const content = new Uint8Array(40).fill(0xcd);
  putMetadata(bytes, [
    ...itemsFor(4 * MIB, MIB, 512),
    { guid: other, flags: 0, content },
    { guid: GUID.log, flags: 1, content },
  ]);
  return {
    name: "VHDX with an unknown region and unknown metadata items",
    format: vhdx,
    bytes,
    kept(now) {
      const text = Buffer.from(now).toString("latin1");
      const guid = "\xaa\xaa\xaa\xaa\x00\x00\x00\x40\x80\x00\x00\x00\x00\x00\x00\x0a";
      const places = [192 << 10, 256 << 10].map((at) => text.slice(at + 16 + 64, at + 16 + 96));
      const region = now.subarray(regionAt, regionAt + MIB).every((byte) => byte === 0xab);
      const items = now.subarray(AT.metadata + 32 + 5 * 32, AT.metadata + 32 + 7 * 32);
      const values = text.slice(AT.items, AT.items + 256).match(/\xcd+/)?.[0].length;
      assert(places.every((entry) => entry.startsWith(guid)));
      return `${region} ${places.map((entry) => Buffer.from(entry, "latin1").toString("hex"))} ${items} ${values}`;
    },
  };
}

async function qcow2Case(refersToCluster: boolean): Promise<Case> {
  const image = await createImage(qcow2, 4 * MIB);
  await image.writer.write(new Uint8Array(MIB).fill(3), 0);
  await image.writer.finish();
  const end = image.storage.size;
  const bytes = new Uint8Array(refersToCluster ? end + 65_536 : end);
  bytes.set(image.storage.bytes());
  const view = new DataView(bytes.buffer);
  // Behind the header of 112 bytes: an unknown extension with the offset of a cluster, before the feature name table.
  bytes.copyWithin(112 + 16, 112, 4096);
  view.setUint32(112, 0x6f74_6872);
  view.setUint32(116, 8);
  view.setBigUint64(120, BigInt(refersToCluster ? end : 0xabcdef));
  bytes[80] = 0x40; // an unknown compatible feature
  if (refersToCluster) {
    bytes.fill(0xab, end);
    const block = Number(view.getBigUint64(Number(view.getBigUint64(48))));
    view.setUint16(block + end / 65_536 * 2, 1);
  }
  return {
    name: `qcow2 with an unknown header extension${refersToCluster ? " that refers to a cluster" : ""}`,
    format: qcow2,
    bytes,
    kept(now) {
      const text = Buffer.from(now.subarray(0, 4096)).toString("latin1");
      const at = text.indexOf("othr\x00\x00\x00\x08");
      assert(at > 0, "the extension");
      const cluster = refersToCluster ? now.subarray(end, end + 65_536).every((byte) => byte === 0xab) : true;
      return `${now[80]} ${Buffer.from(text.slice(at, at + 16), "latin1").toString("hex")} ${cluster}`;
    },
    refused: refersToCluster ? ["repair", "free leaks"] : [],
  };
}

function vdiCase(): Case {
  const blockSize = MIB;
  const blocks = [1, 2, 3].map((byte) => new Uint8Array(blockSize).fill(byte));
  const bytes = buildVdi({ type: 1, size: 4 * MIB, blockSize, extraBytes: 512, map: [0, FREE, 2, 1], blocks });
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("made by another program"), 84);
  view.setUint32(80, 0x100, true);
  bytes.fill(0x77, 472, 512);
  return {
    name: "VDI with extra bytes before each block, flags and bytes behind the header",
    format: vdi,
    bytes,
    kept(now) {
      const fields = new DataView(now.buffer);
      const [mapAt, dataAt] = [fields.getUint32(340, true), fields.getUint32(344, true)];
      const first = fields.getUint32(mapAt, true);
      const extra = dataAt + first * (blockSize + 512);
      assert(mapAt >= VDI.map);
      return `${now.subarray(0, 64)} ${now.subarray(72, 340)} ${now.subarray(472, 512)} ` +
        `${now.subarray(extra, extra + 512).every((byte) => byte === 0xee)}`;
    },
  };
}

function vmdkCase(more: readonly string[], refused: readonly string[]): Case {
  const line = 'RW 8192 SPARSE "a.vmdk"';
  const text = descriptor("monolithicSparse", [line], more) +
    'ddb.someOther.key = "value"\n# A comment\nddb.toolsVersion = "12345"\n' + "\n".repeat(600);
  const { bytes } = sparse(Array.from({ length: 512 }, (_, index) => index % 3 === 0 ? null : index % 200 + 2), {
    descriptor: text,
  });
  bytes.fill(0x5a, 80, 500);
  return {
    name: `VMDK with unknown lines in its descriptor, and bytes behind the header${more.length > 0 ? ", tracked" : ""}`,
    format: vmdk,
    bytes,
    kept(now) {
      const at = Number(new DataView(now.buffer).getBigUint64(28, true)) * 512;
      const lines = new TextDecoder().decode(now.subarray(at, at + 2048)).split("\n");
      return `${now.subarray(79, 512)} ${
        lines.filter((one) => /other|comment|tools|track|adapter/i.test(one)).join("|")
      }`;
    },
    refused,
  };
}

const tracked = ["write", "grow", "preallocate", "shrink", "rebase", "empty", "deallocate"];
const cases = [
  vhdxCase(),
  await qcow2Case(false),
  await qcow2Case(true),
  vdiCase(),
  vmdkCase([], []),
  vmdkCase(['changeTrackPath="a-ctk.vmdk"'], tracked),
];

for (const { name, format, bytes, kept, refused = [] } of cases) {
  for (const [verb, action] of Object.entries(VERBS)) {
    Deno.test(`${name}: ${verb}`, async () => {
      const memory = new MemoryStorage(bytes.slice());
      const storage = new RecordingStorage(memory);
      const before = kept(bytes);
      const done = (async () => await action(verb === "write" ? memory : storage, format))();
      if (refused.includes(verb)) {
        await assert.rejects(done, { kind: "unsupported" });
        assert.deepEqual(memory.bytes(), bytes);
      } else {
        await done;
        assert.equal(kept(memory.bytes()), before);
      }
    });
  }
}
