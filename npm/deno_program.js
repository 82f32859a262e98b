// Finds Deno: the platform package among the optional dependencies, else the program on the PATH.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";

/** The platform packages of Deno. There is none for musl. */
export const PLATFORMS = {
  "linux-x64": "@deno/linux-x64-glibc",
  "linux-arm64": "@deno/linux-arm64-glibc",
  "darwin-x64": "@deno/darwin-x64",
  "darwin-arm64": "@deno/darwin-arm64",
  "win32-x64": "@deno/win32-x64",
  "win32-arm64": "@deno/win32-arm64",
};

/** Returns the path of Deno, or `null` where there is none that can run the program. */
export function denoProgram() {
  return packaged() ?? onPath();
}

function packaged() {
  const name = PLATFORMS[`${process.platform}-${process.arch}`];
  if (name === undefined) return null;
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    const path = join(folder, process.platform === "win32" ? "deno.exe" : "deno");
    return existsSync(path) ? path : null;
  } catch {
    return null;
  }
}

/** Returns the deno on the PATH, where it is version 2.9 or later. */
function onPath() {
  const { stdout, status } = spawnSync("deno", ["--version"], { encoding: "utf8", windowsHide: true });
  const [major, minor] = (/^deno (\d+)\.(\d+)/.exec(stdout ?? "") ?? [0, 0, 0]).slice(1).map(Number);
  return status === 0 && (major > 2 || major === 2 && minor >= 9) ? "deno" : null;
}
