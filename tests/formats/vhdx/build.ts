/**
 * VHDX images made by hand from [MS-VHDX], for what qemu-img cannot make: differencing images, logs in use, sectors of
 * 4096 bytes, every block state. Shares no code with the format.
 *
 * @module
 */

export const MIB = 1 << 20;

/** File offsets of the parts; other than those that diskcast gives its own images. */
export const AT = {
  header1: 64 << 10,
  header2: 128 << 10,
  regions1: 192 << 10,
  regions2: 256 << 10,
  log: 1 * MIB,
  bat: 2 * MIB,
  metadata: 3 * MIB,
  items: 3 * MIB + (64 << 10),
  blocks: 4 * MIB,
} as const;

/** GUIDs as text, and where they are used. */
export const GUID = {
  bat: "2dc27766-f623-4200-9d64-115e9bfd4a08",
  metadata: "8b7ca206-4790-4b9a-b8fe-575f050f886e",
  fileParameters: "caa16737-fa36-4d43-b3b6-33f0aa44e76b",
  diskSize: "2fa54224-cd1b-4876-b211-5dbed83bf4b8",
  logicalSector: "8141bf1d-a96f-4709-ba47-f233a8faab5f",
  physicalSector: "cda348c7-445d-4471-9cc9-e9885251c556",
  diskId: "beca12ab-b2e6-4523-93ef-c309e000c746",
  parentLocator: "a8d35f2d-b30b-454d-abf7-d3d84834ab0c",
  locatorType: "b04aefb7-d19e-4a81-b789-25b8e9445913",
  log: "11111111-2222-3333-4444-555555555555",
  none: "00000000-0000-0000-0000-000000000000",
  data: "d0d0d0d0-1111-2222-3333-444444444444",
} as const;

/** A block of an image. */
export interface Block {
  readonly state: number;
  /** Its content, if it is allocated. */
  readonly content?: Uint8Array;
  /** Its part of the sector bitmap; for state 7. */
  readonly bits?: Uint8Array;
}

/** What to build. Sizes in bytes. */
export interface Spec {
  readonly size: number;
  readonly blockSize?: number;
  readonly sector?: number;
  readonly fixed?: boolean;
  readonly blocks?: { readonly [block: number]: Block };
  /** Keys and values of the parent locator: a differencing image. */
  readonly parent?: Readonly<Record<string, string>>;
  readonly dataWriteGuid?: string;
  readonly logGuid?: string;
  /** Content of the log. */
  readonly log?: Uint8Array;
}

/** The image as bytes. */
export function build(spec: Spec): Uint8Array<ArrayBuffer> {
  const { size, blockSize = MIB, sector = 512, blocks = {} } = spec;
  const ratio = 2 ** 23 * sector / blockSize;
  const entries = Object.entries(blocks).map(([number, block]) => ({ number: Number(number), ...block }));
  const chunks = [...new Set(entries.filter(({ bits }) => bits).map(({ number }) => Math.floor(number / ratio)))];
  const present = entries.filter(({ content }) => content);
  const bytes = new Uint8Array(AT.blocks + present.length * blockSize + chunks.length * MIB);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii("vhdxfile"), 0);
  const header = { logGuid: spec.logGuid ?? GUID.none, dataWriteGuid: spec.dataWriteGuid ?? GUID.data };
  putHeader(bytes, AT.header1, { ...header, sequence: 7 });
  putHeader(bytes, AT.header2, { ...header, sequence: 8 });
  putRegions(bytes, [[GUID.bat, AT.bat, MIB, 1], [GUID.metadata, AT.metadata, MIB, 1]]);
  putMetadata(bytes, itemsFor(size, blockSize, sector, spec));
  if (spec.log) bytes.set(spec.log, AT.log);
  for (const { number, state } of entries) setBat(view, number + Math.floor(number / ratio), state, 0);
  present.forEach(({ number, state, content }, nth) => {
    const at = AT.blocks + nth * blockSize;
    bytes.set(content!, at);
    setBat(view, number + Math.floor(number / ratio), state, at);
  });
  chunks.forEach((chunk, nth) => {
    const at = AT.blocks + present.length * blockSize + nth * MIB;
    setBat(view, chunk * (ratio + 1) + ratio, 6, at);
    for (const { number, bits } of entries) {
      if (bits && Math.floor(number / ratio) === chunk) bytes.set(bits, at + number % ratio * (MIB / ratio));
    }
  });
  return bytes;
}

/** Fields of a header that tests change. */
export interface HeaderFields {
  readonly sequence: number;
  readonly logGuid?: string;
  readonly dataWriteGuid?: string;
  readonly version?: number;
  readonly logVersion?: number;
  readonly logLength?: number;
  readonly logAt?: number | bigint;
}

/** Writes a header, sealed. */
export function putHeader(bytes: Uint8Array, at: number, fields: HeaderFields): void {
  const header = new Uint8Array(4096);
  const view = new DataView(header.buffer);
  header.set(ascii("head"), 0);
  view.setBigUint64(8, BigInt(fields.sequence), true);
  putGuid(header, 16, "f0f0f0f0-1111-2222-3333-444444444444");
  putGuid(header, 32, fields.dataWriteGuid ?? GUID.data);
  putGuid(header, 48, fields.logGuid ?? GUID.none);
  view.setUint16(64, fields.logVersion ?? 0, true);
  view.setUint16(66, fields.version ?? 1, true);
  view.setUint32(68, fields.logLength ?? MIB, true);
  view.setBigUint64(72, BigInt(fields.logAt ?? AT.log), true);
  seal(header);
  bytes.set(header, at);
}

/** GUID, file offset, length, required. */
export type Region = readonly [guid: string, at: number | bigint, length: number, required: number];

/** Writes both region tables, sealed; `count` may lie. */
export function putRegions(bytes: Uint8Array, regions: readonly Region[], count = regions.length): void {
  const table = new Uint8Array(64 << 10);
  const view = new DataView(table.buffer);
  table.set(ascii("regi"), 0);
  view.setUint32(8, count, true);
  regions.forEach(([guid, at, length, required], nth) => {
    putGuid(table, 16 + 32 * nth, guid);
    view.setBigUint64(32 + 32 * nth, BigInt(at), true);
    view.setUint32(40 + 32 * nth, length, true);
    view.setUint32(44 + 32 * nth, required, true);
  });
  seal(table);
  bytes.set(table, AT.regions1);
  bytes.set(table, AT.regions2);
}

/** One metadata item. Flags: 1 user, 2 of the virtual disk, 4 required. */
export interface Item {
  readonly guid: string;
  readonly flags: number;
  readonly content: Uint8Array;
}

/** The items of an image. */
export function itemsFor(size: number, blockSize: number, sector: number, spec: Partial<Spec> = {}): Item[] {
  const flags = (spec.fixed ? 1 : 0) + (spec.parent ? 2 : 0);
  const items = [
    { guid: GUID.fileParameters, flags: 4, content: numbers([4, blockSize], [4, flags]) },
    { guid: GUID.diskSize, flags: 6, content: numbers([8, size]) },
    { guid: GUID.logicalSector, flags: 6, content: numbers([4, sector]) },
    { guid: GUID.physicalSector, flags: 6, content: numbers([4, 4096]) },
    { guid: GUID.diskId, flags: 6, content: new Uint8Array(16).fill(7) },
  ];
  return spec.parent ? [...items, { guid: GUID.parentLocator, flags: 4, content: locator(spec.parent) }] : items;
}

/** Writes the metadata region. */
export function putMetadata(bytes: Uint8Array, items: readonly Item[]): void {
  bytes.fill(0, AT.metadata, AT.metadata + MIB);
  bytes.set(ascii("metadata"), AT.metadata);
  const view = new DataView(bytes.buffer);
  view.setUint16(AT.metadata + 10, items.length, true);
  let itemAt = AT.items;
  items.forEach(({ guid, flags, content }, nth) => {
    const at = AT.metadata + 32 + 32 * nth;
    putGuid(bytes, at, guid);
    view.setUint32(at + 16, itemAt - AT.metadata, true);
    view.setUint32(at + 20, content.length, true);
    view.setUint32(at + 24, flags, true);
    bytes.set(content, itemAt);
    itemAt += content.length;
  });
}

/** A parent locator with these keys and values. */
export function locator(entries: Readonly<Record<string, string>>, type: string = GUID.locatorType): Uint8Array {
  const list = Object.entries(entries).map(([key, value]) => [utf16(key), utf16(value)]);
  const length = 20 + list.reduce((sum, [key, value]) => sum + 12 + key.length + value.length, 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  putGuid(bytes, 0, type);
  view.setUint16(18, list.length, true);
  let at = 20 + 12 * list.length;
  list.forEach((texts, nth) => {
    texts.forEach((text, which) => {
      view.setUint32(20 + 12 * nth + 4 * which, at, true);
      view.setUint16(28 + 12 * nth + 2 * which, text.length, true);
      bytes.set(text, at);
      at += text.length;
    });
  });
  return bytes;
}

/** Writes a BAT entry. */
export function setBat(view: DataView, index: number, state: number, at: number | bigint): void {
  view.setBigUint64(AT.bat + 8 * index, BigInt(at) + BigInt(state), true);
}

/** What a log entry does: 4096 bytes, or a number of zeroes, to a file offset. */
export interface LogChange {
  readonly at: number;
  readonly data?: Uint8Array;
  readonly zeroes?: number;
}

/** A log entry. `tail` counts from the start of the log. */
export interface EntrySpec {
  readonly sequence: number;
  readonly tail: number;
  readonly changes: readonly LogChange[];
  readonly guid?: string;
  readonly flushed?: number;
  readonly last?: number;
  /** Sectors more than needed. */
  readonly slack?: number;
}

/** A log entry, sealed. */
export function logEntry(spec: EntrySpec): Uint8Array {
  const { changes, sequence } = spec;
  const dataSectors = changes.filter(({ data }) => data).length;
  const first = Math.ceil((64 + 32 * changes.length) / 4096);
  const bytes = new Uint8Array((first + dataSectors + (spec.slack ?? 0)) * 4096);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii("loge"), 0);
  view.setUint32(8, bytes.length, true);
  view.setUint32(12, spec.tail, true);
  view.setBigUint64(16, BigInt(sequence), true);
  view.setUint32(24, changes.length, true);
  putGuid(bytes, 32, spec.guid ?? GUID.log);
  view.setBigUint64(48, BigInt(spec.flushed ?? 0), true);
  view.setBigUint64(56, BigInt(spec.last ?? 0), true);
  let sector = first;
  changes.forEach(({ at, data, zeroes }, nth) => {
    const location = 64 + 32 * nth;
    view.setBigUint64(location + 16, BigInt(at), true);
    view.setBigUint64(location + 24, BigInt(sequence), true);
    if (!data) {
      bytes.set(ascii("zero"), location);
      view.setBigUint64(location + 8, BigInt(zeroes!), true);
      return;
    }
    bytes.set(ascii("desc"), location);
    bytes.set(data.subarray(4092), location + 4);
    bytes.set(data.subarray(0, 8), location + 8);
    const start = 4096 * sector++;
    bytes.set(data, start);
    bytes.set(ascii("data"), start);
    view.setUint32(start + 4, Math.floor(sequence / 2 ** 32), true);
    view.setUint32(start + 4092, sequence >>> 0, true);
  });
  seal(bytes);
  return bytes;
}

/** A log of 1 MiB with entries at the given offsets; one that reaches past the end continues at the start. */
export function ring(entries: readonly (readonly [at: number, entry: Uint8Array])[]): Uint8Array {
  const log = new Uint8Array(MIB);
  for (const [at, entry] of entries) {
    for (let done = 0; done < entry.length; done += 4096) log.set(entry.subarray(done, done + 4096), (at + done) % MIB);
  }
  return log;
}

/** Puts the checksum into a structure, at byte 4. */
export function seal(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(4, 0, true);
  view.setUint32(4, plainCrc32c(bytes), true);
}

/** What the CRC of a byte adds, computed bit by bit. */
const CRC_OF_BYTE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C, byte by byte. */
export function plainCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = CRC_OF_BYTE[(crc ^ bytes[at]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Writes a GUID, the first three fields little-endian. */
export function putGuid(bytes: Uint8Array, at: number, guid: string): void {
  const [a, b, c, d, e] = guid.split("-");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(at, Number.parseInt(a, 16), true);
  view.setUint16(at + 4, Number.parseInt(b, 16), true);
  view.setUint16(at + 6, Number.parseInt(c, 16), true);
  view.setUint16(at + 8, Number.parseInt(d, 16));
  for (let nth = 0; nth < 6; nth++) bytes[at + 10 + nth] = Number.parseInt(e.slice(2 * nth, 2 * nth + 2), 16);
}

/** Little-endian numbers of so many bytes each. */
export function numbers(...fields: readonly (readonly [bytes: number, value: number])[]): Uint8Array {
  return new Uint8Array(
    fields.flatMap(([length, value]) => [...Array(length).keys()].map((nth) => Math.floor(value / 256 ** nth) % 256)),
  );
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function utf16(text: string): Uint8Array {
  return numbers(...[...text].map((letter) => [2, letter.charCodeAt(0)] as const));
}
