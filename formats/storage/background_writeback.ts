/**
 * Background writeback: syncs of a file during a copy, so that little is left for the sync at the end.
 *
 * @module
 */

/** Background syncs of one file. */
export interface BackgroundWriteback extends Disposable {
  /** Begins a sync, unless one is in progress. Never waits, never throws. */
  begin(): void;
  /** Waits for the sync in progress. Throws the first failure of any of them: the system may report each only once. */
  settled(): Promise<void>;
}

/**
 * Returns background syncs of the file at `path`, which is open for writing elsewhere. They use a handle of their own,
 * because Deno blocks all other calls on a handle that is being synced.
 *
 * Deno asks for write access to `path`.
 *
 * @param onSynced called after each successful sync
 *
 * @example
 * ```ts
 * import { backgroundWriteback } from "./background_writeback.ts";
 *
 * const path = await Deno.makeTempFile();
 * {
 *   using writeback = backgroundWriteback(path);
 *   writeback.begin();
 *   await writeback.settled();
 * }
 * await Deno.remove(path);
 * ```
 */
export function backgroundWriteback(path: string, onSynced: () => void = () => {}): BackgroundWriteback {
  let file: Deno.FsFile | null = null;
  let running: Promise<void> | null = null;
  let failure: { readonly error: unknown } | null = null;
  const fail = (error: unknown) => {
    failure ??= { error };
  };
  return {
    begin() {
      if (running || failure) return;
      try {
        file ??= Deno.openSync(path, { write: true });
      } catch {
        // The file may be renamed or inaccessible by now. The sync at the end, on the other handle, does all the work.
        return;
      }
      running = file.syncData().then(onSynced).catch(fail).finally(() => {
        running = null;
      });
    },
    async settled() {
      await running;
      if (failure) throw failure.error;
    },
    [Symbol.dispose]() {
      file?.close();
      file = null;
    },
  };
}
