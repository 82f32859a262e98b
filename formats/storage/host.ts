/**
 * What the host can do beyond Deno's own file calls.
 *
 * @module
 */

/** Which file this is: equal for two names of one file. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/**
 * Abilities of the host for one open file. Each returns `null` or `false` where the host refuses; it is not asked again
 * then. All offsets are file bytes.
 */
export interface HostFile extends Disposable {
  /** Whether a hole lies at `fileOffset`, and where it or the data there ends. */
  holeAt(fileOffset: number, limit: number): { readonly hole: boolean; readonly end: number } | null;
  /** Makes the range read as zeroes without writing them; `keep`: it stays reserved. The file is not grown. */
  zero(start: number, end: number, keep: boolean): boolean;
  /** Reserves space for the range; grows the file where it ends before. */
  reserve(start: number, end: number): boolean;
  /** Whether {@linkcode HostFile.zero} has not been refused yet. */
  readonly canZero: boolean;
}

/** The abilities for `path`, `null` where there are none. */
export function openHostFile(_path: string, _access: { write: boolean; same: FileIdentity | null }): HostFile | null {
  return null;
}
