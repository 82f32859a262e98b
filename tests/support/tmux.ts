/**
 * A real terminal for a program: tmux keeps it, types into it and tells what stands on it.
 *
 * @module
 */
import { run, scratch } from "./qemu.ts";

/** Whether tmux is there. In CI it must be. */
export const hasTmux: boolean = await (async () => {
  try {
    return (await run("tmux", ["-V"])).code === 0;
  } catch {
    return false;
  }
})();

if (!hasTmux && Deno.env.get("CI") !== "true") console.log("tmux is not installed: tests in a terminal are left out");

/** A terminal with a program in it. */
export interface Terminal extends AsyncDisposable {
  /** Types text as it is. */
  type(text: string): Promise<void>;
  /** Presses keys by their tmux names: `Enter`, `Escape`, `C-c`. */
  press(...keys: string[]): Promise<void>;
  /** What stands on the screen now. */
  screen(): Promise<string>;
  /** Waits until the screen, or what has left it, shows `pattern`; returns the screen. */
  shows(pattern: RegExp, seconds?: number): Promise<string>;
  /** Changes the size. */
  resize(columns: number, rows: number): Promise<void>;
  /** One of tmux's variables: `cursor_flag`, `alternate_on`, `pane_pid`. */
  ask(variable: string): Promise<string>;
}

/** Starts `command` (words of a shell) in a terminal of its own server, so that no other is disturbed. */
export async function terminal(
  command: string,
  options: { readonly columns?: number; readonly rows?: number; readonly env?: Record<string, string> } = {},
): Promise<Terminal> {
  if (!hasTmux) throw new Error("tmux is not installed");
  const folder = await scratch();
  const socket = folder.file("tmux");
  const tmux = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("tmux", ["-S", socket, "-f", "/dev/null", ...args]);
    if (code !== 0) throw new Error(`tmux ${args[0]}: ${stderr}`);
    return stdout;
  };
  const env = Object.entries(options.env ?? {}).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const size = ["-x", String(options.columns ?? 100), "-y", String(options.rows ?? 40)];
  await tmux("new-session", "-d", "-s", "t", ...size, ...env, "sh");
  await tmux("send-keys", "-t", "t", "-l", command);
  await tmux("send-keys", "-t", "t", "Enter");
  const screen = () => tmux("capture-pane", "-p", "-t", "t");
  return {
    screen,
    type: async (text) => void await tmux("send-keys", "-t", "t", "-l", text),
    press: async (...keys) => void await tmux("send-keys", "-t", "t", ...keys),
    resize: async (columns, rows) =>
      void await tmux("resize-window", "-t", "t", "-x", String(columns), "-y", String(rows)),
    ask: async (variable) => (await tmux("display-message", "-p", "-t", "t", `#{${variable}}`)).trim(),
    async shows(pattern, seconds = 20) {
      for (const end = Date.now() + seconds * 1000;;) {
        const text = await tmux("capture-pane", "-p", "-S", "-200", "-t", "t");
        if (pattern.test(text)) return text;
        if (Date.now() > end) throw new Error(`the terminal never showed ${pattern}; it shows\n${text}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async [Symbol.asyncDispose]() {
      await tmux("kill-server").catch(() => {});
      await folder[Symbol.asyncDispose]();
    },
  };
}
