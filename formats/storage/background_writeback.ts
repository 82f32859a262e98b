/**
 * Bringing a file to stable storage beside the work on it: a disk that has been writing all along has little left to do
 * when the last byte has come.
 *
 * @module
 */

/** Syncs of one file beside other work on it. */
export interface BackgroundWriteback extends Disposable {
  /** Begins one, unless one is under way; never waits, never throws. */
  begin(): void;
  /** None is under way any more. Throws what went wrong in one of them: the system may tell each failure only once. */
  settled(): Promise<void>;
}

/**
 * Syncs of the file at `path`, which is open for writing elsewhere. They take a handle of their own, since Deno lets no
 * other call use a handle that is being synced.
 *
 * Deno asks for write access to `path`.
 *
 * @param onSynced hears of every one that went well
 *
 * @example
 * ```ts
 * import { backgroundWriteback } from "./background_writeback.ts";
 *
 * const path = await Deno.makeTempFile();
 * {
 *   using early = backgroundWriteback(path);
 *   early.begin();
 *   await early.settled();
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
        // It may be forbidden or renamed by now. The handle that has written it will do everything at the end.
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
