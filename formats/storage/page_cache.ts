/**
 * Page cache trimming: a large copy must not evict everything else from the page cache of the host.
 *
 * @module
 */
import type { HostFile } from "./host.ts";

/** Bytes of a file that may stay in the page cache, for the next program; copied pages beyond that are dropped. */
const KEPT = 2 * 2 ** 30;

/** Bytes of a range that is dropped with one call. */
const STRIDE = 64 << 20;

/** Counts the bytes read from and written to a file, and drops their pages. */
export interface PageCacheTrimmer {
  /** Records that file bytes `[start, end)` were read, and will hardly be read again. */
  read(start: number, end: number): void;
  /** Records that `length` bytes were written. */
  wrote(length: number): void;
  /** Records that a sync has completed: written pages may be dropped. */
  synced(): void;
}

/** Returns the trimmer of an open file, of which `kept` bytes may stay in the page cache. */
export function pageCacheTrimmer(
  host: Pick<HostFile, "dropCache">,
  kept: number = KEPT,
  stride: number = STRIDE,
): PageCacheTrimmer {
  let read = 0;
  let written = 0;
  let span = { start: 0, end: 0 };
  const dropSpan = () => {
    if (read > kept && span.end > span.start) host.dropCache(span.start, span.end);
  };
  return {
    read(start, end) {
      read += end - start;
      if (start === span.end) span.end = end;
      else {
        dropSpan();
        span = { start, end };
      }
      if (span.end - span.start < stride) return;
      dropSpan();
      span = { start: end, end };
    },
    wrote(length) {
      written += length;
    },
    synced() {
      if (written > kept) host.dropCache(0, Number.MAX_SAFE_INTEGER);
    },
  };
}
