/**
 * The options of `completions`, as data.
 *
 * @module
 */
import type { CommandDef } from "./command.ts";

/** Shells that can be told. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

/** `completions` as its help shows it. */
export const completionsCommand: CommandDef = {
  name: "completions",
  summary: "Print what a shell needs to complete commands, options and their values",
  usage: SHELLS.join("|"),
  options: [],
  notes: `Examples:
  diskcast completions bash > ~/.local/share/bash-completion/completions/diskcast
  diskcast completions zsh > "\${fpath[1]}/_diskcast"
  diskcast completions fish > ~/.config/fish/completions/diskcast.fish
  diskcast completions powershell | Out-String | Invoke-Expression`,
};
