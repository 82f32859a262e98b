/**
 * Internal snapshots of an image: how a user chooses one, and the data of a new one.
 *
 * @module
 */

/** A snapshot as the user names it; `idOrName` is compared with IDs first. */
export type SnapshotChoice = { readonly idOrName: string } | { readonly id?: string; readonly name?: string };

/** A snapshot to be created. */
export interface NewSnapshot {
  /** As the user names it. */
  readonly name: string;
  /** Its date in seconds since 1970. */
  readonly dateSeconds: number;
  /** Nanoseconds beyond {@linkcode dateSeconds}. */
  readonly dateNanoseconds: number;
}
