/**
 * The files that are open for reading. A disk may consist of thousands of files (the extents of a split VMDK, a chain of
 * overlays), more than a process may have open: those that were used longest ago are closed, and opened again when they
 * are used.
 *
 * @module
 */

/** Most files that are open for reading at once. Many systems allow 256 descriptors, some of which Deno needs. */
export const MOST_OPEN = 128;

/** An open file that can be closed and opened again. */
export interface Reopenable {
  /** Closes the file until it is used again. */
  suspend(): void;
}

/** Files from the one that was used longest ago to the one that was used last. */
const open = new Set<Reopenable>();
let latest: Reopenable | null = null;

/** Records that a file is open and about to be used; closes the one that was used longest ago where there are too many. */
export function noteUse(file: Reopenable): void {
  if (file === latest) return;
  open.delete(file);
  open.add(file);
  latest = file;
  if (open.size <= MOST_OPEN) return;
  const [oldest] = open;
  open.delete(oldest);
  oldest.suspend();
}

/** Records that a file is closed for good. */
export function noteClosed(file: Reopenable): void {
  open.delete(file);
  if (latest === file) latest = null;
}
