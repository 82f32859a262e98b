/**
 * The formats as the engine uses them: contract, registry, storage. Modules outside this folder import this file only.
 *
 * @module
 */
export type * from "./contract.ts";
export type * from "./guest_reader.ts";
export type * from "./options.ts";
export type * from "./bitmaps.ts";
export type * from "./snapshots.ts";
export * from "./maintenance.ts";
export { type Content, type CopyOffload, fileContent, memoryContent, PIECE } from "./content.ts";
export { andThen, type MaybePromise } from "./maybe_promise.ts";
export * from "./extent.ts";
export * from "./errors.ts";
export * from "./bytes.ts";
export { pageMemory } from "./page_memory.ts";
export { creationOptionsOf } from "./creation_options.ts";
export { allFormats } from "./registry.ts";
export type { Files, Origin, Storage, StoredFile, WritableStorage } from "./storage/types.ts";
export { windowOf, writableWindowOf } from "./storage/window.ts";
export { MemoryStorage } from "./storage/memory.ts";
export { basename, dirname, extname, isAbsolute, join, relative, resolve } from "./storage/paths.ts";
export { blockDevices, copyAccess, deviceUses, heldByQemu, hostFiles, syncFolder } from "./storage/files.ts";
export type { BlockDevice, DevicePartition, DeviceUse } from "./storage/block_devices.ts";
export type { FileIdentity, HoleStatus, HostCopy, HostFile } from "./storage/host.ts";
export { grantable, hostError, permissionFlag } from "./storage/host_error.ts";
export {
  type Codec,
  compressBound,
  compressCluster,
  type Compressor,
  type DeflateCodec,
  inlineCompressor,
  type ZstdCodec,
} from "./codec/compress.ts";
export { decompressCluster, type DecompressCodec, type Decompressor, inlineDecompressor } from "./codec/decompress.ts";
export { ownStreams, reusedStreams, type Streams } from "./codec/zlib_streams.ts";
