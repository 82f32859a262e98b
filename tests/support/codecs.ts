/**
 * Codecs for contexts of formats: tests call formats without a worker pool.
 *
 * @module
 */
import { inlineCompressor, inlineDecompressor } from "../../formats/mod.ts";

/** Members of every context: compression and decompression in this thread. */
export const inlineCodecs = { compressor: inlineCompressor, decompressor: inlineDecompressor };
