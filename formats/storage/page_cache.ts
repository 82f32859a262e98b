/**
 * What a file takes of the host's memory: a large copy shall not push everything else out of the page cache.
 *
 * @module
 */
import type { HostFile } from "./host.ts";

/** So many bytes of a file may stay in memory, for those who use it next; beyond, what has passed is forgotten. */
const KEPT = 2 * 2 ** 30;

/** Ranges of at least this length are forgotten at once, in bytes: fewer calls. */
const STRIDE = 64 << 20;

/** Keeps count of what passes through a file, and lets the host deallocate it. */
export interface PageCacheTrimmer {
  /** File bytes `[start, end)` have been read, and will hardly be again. */
  read(start: number, end: number): void;
  /** So many bytes have been written. */
  wrote(length: number): void;
  /** What had been written when this was called last is on the disk by now: it may go. */
  synced(): void;
}

/** The footprint of an open file; `kept` bytes of it may stay in memory. */
export function pageCacheTrimmer(host: HostFile, kept: number = KEPT, stride: number = STRIDE): PageCacheTrimmer {
  let read = 0;
  let written = 0;
  let span = { start: 0, end: 0 };
  const forgetSpan = () => {
    if (read > kept && span.end > span.start) host.forget(span.start, span.end);
  };
  return {
    read(start, end) {
      read += end - start;
      if (start === span.end) span.end = end;
      else {
        forgetSpan();
        span = { start, end };
      }
      if (span.end - span.start < stride) return;
      forgetSpan();
      span = { start: end, end };
    },
    wrote(length) {
      written += length;
    },
    synced() {
      if (written > kept) host.forget(0, Number.MAX_SAFE_INTEGER);
    },
  };
}
