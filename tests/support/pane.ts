/**
 * A terminal for tests: a shell in tmux. A test types into it and reads its screen.
 *
 * @module
 */
import { inCi } from "./qemu.ts";

/** The modes of a terminal that a program must restore. */
export interface Modes {
  readonly alternate: boolean;
  readonly cursor: boolean;
}

/** A terminal with a shell. */
export interface Pane extends AsyncDisposable {
  /** Types a line. */
  line(text: string): Promise<void>;
  /** Presses keys as tmux names them: `q`, `Enter`, `C-c`, `Escape`. */
  press(...keys: string[]): Promise<void>;
  /** Returns the screen. */
  text(): Promise<string>;
  /** Returns the screen with the escape sequences of its colours. */
  painted(): Promise<string>;
  /** Waits until the screen matches, and returns it. Throws after the timeout, with the screen. */
  until(pattern: RegExp, milliseconds?: number): Promise<string>;
  /** Waits until the screen does not match. */
  gone(pattern: RegExp): Promise<string>;
  resize(columns: number, rows: number): Promise<void>;
  modes(): Promise<Modes>;
}

/** Whether tmux is installed. */
export const hasTmux: boolean = canStart();

/** Returns whether tmux is missing, and logs that tests are skipped; throws in CI. */
export function tmuxIsMissing(): boolean {
  if (hasTmux) return false;
  if (inCi) throw new Error("tmux is not installed, and CI must test in a real terminal (Debian: tmux)");
  console.log("Tests in a real terminal are left out: tmux is not installed (Debian: tmux)");
  return true;
}

/** Opens a terminal with a plain shell, whose prompt is `READY>`. */
export async function openPane(columns = 100, rows = 30): Promise<Pane> {
  const socket = `diskcast-test-${crypto.randomUUID()}`;
  const tmux = async (...args: string[]): Promise<string> => {
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-u", "-L", socket, "-f", "/dev/null", ...args],
      env: { LC_ALL: "C.UTF-8", ENV: "" },
    }).output();
    if (!success) throw new Error(`tmux ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  };
  await tmux("new-session", "-d", "-x", String(columns), "-y", String(rows), "sh");
  const pane: Pane = {
    async line(text) {
      await tmux("send-keys", "-l", text);
      await tmux("send-keys", "Enter");
    },
    press: async (...keys) => void (await tmux("send-keys", ...keys)),
    text: () => tmux("capture-pane", "-p"),
    painted: () => tmux("capture-pane", "-p", "-e"),
    until: (pattern, milliseconds) => wait(pane, (text) => pattern.test(text), `${pattern}`, milliseconds),
    gone: (pattern) => wait(pane, (text) => !pattern.test(text), `the end of ${pattern}`),
    resize: async (width, height) => void (await tmux("resize-window", "-x", String(width), "-y", String(height))),
    async modes() {
      const [alternate, cursor] = (await tmux("display", "-p", "#{alternate_on} #{cursor_flag}")).trim().split(" ");
      return { alternate: alternate === "1", cursor: cursor === "1" };
    },
    [Symbol.asyncDispose]: async () => void (await tmux("kill-server").catch(() => {})),
  };
  // Not every shell takes its prompt from the environment.
  await pane.line("PS1='READY''>'");
  // A line that comes early is echoed after the first prompt of the shell, so `READY>` may stand anywhere.
  await pane.until(/READY>/);
  return pane;
}

async function wait(
  pane: Pane,
  found: (text: string) => boolean,
  what: string,
  milliseconds = 30_000,
): Promise<string> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const text = await pane.text();
    if (found(text)) return text;
    if (performance.now() > end) throw new Error(`The terminal does not show ${what}:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function canStart(): boolean {
  try {
    return new Deno.Command("tmux", { args: ["-V"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Returns a text without white space: tmux wraps lines anywhere, and drops the spaces at their ends. */
export function unspaced(text: string): string {
  return text.replaceAll(/\s/g, "");
}
