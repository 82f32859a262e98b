#!/usr/bin/env node
// The command of the npm package: starts the built form in Deno, with the permissions that its arguments need.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { denoProgram } from "./deno_program.js";
import { permissionFlags } from "./permissions.js";

/** Nothing is looked up outside the package: no configuration, no network, no packages. */
const RUN = ["run", "--no-config", "--no-lock", "--no-remote", "--no-npm"];
const program = fileURLToPath(new URL("../program/diskcast.js", import.meta.url));
const given = process.argv.slice(2);

const deno = denoProgram();
if (deno === null) {
  process.stderr.write(
    `diskcast: Cannot start: the package of Deno for ${process.platform} ${process.arch} is not installed, and no ` +
      "deno is on the PATH; install diskcast anew with its optional dependencies, or Deno 2.9 or later\n",
  );
  process.exit(1);
}

// npm makes the command as a link to this file. A link of the name qemu-img turns on the mode of that name.
const asQemuImg = /(^|[/\\])qemu-img(\.js)?$/.test(process.argv[1] ?? "") ? ["--as-qemu-img"] : [];
const named = given[0] === "--as-qemu-img" ? given.slice(1) : given;
// npx and "npm exec" set this; commands that the program prints begin with the words that the user can type.
const typed = process.env.npm_command === "exec" ? ["--program=npx diskcast"] : [];
start(deno, [...RUN, ...permissionFlags(grants(deno, named), process.env), program, ...typed, ...asQemuImg, ...given]);

/** Returns the files that the arguments name, by the argument reader of the program itself. It needs no permission. */
function grants(deno, args) {
  const { stdout, stderr, status } = spawnSync(deno, [...RUN, "--no-prompt", program, "grants", ...args], {
    encoding: "utf8",
    windowsHide: true,
  });
  if (status === 0) return JSON.parse(stdout);
  process.stderr.write(stderr ?? "");
  process.exit(status ?? 1);
}

/**
 * Stops the whole job when the program has stopped itself, as its screen does on Ctrl-Z: the shell waits for this process,
 * which does not learn of it. Linux only; elsewhere a second Ctrl-Z stops the job.
 */
function stopWith(child) {
  process.on("SIGCONT", () => child.kill("SIGCONT"));
  if (process.platform !== "linux") return;
  setInterval(() => {
    try {
      // The state follows the name of the program, which is in brackets.
      const state = readFileSync(`/proc/${child.pid}/stat`, "latin1").replace(/^.*\) /s, "")[0];
      if (state === "T") process.kill(0, "SIGSTOP");
    } catch {
      // The program has ended.
    }
  }, 200).unref();
}

/** Runs the program to its end, forwards signals to it, and ends as it does. */
function start(deno, args) {
  const child = spawn(deno, args, { stdio: "inherit", windowsHide: true });
  // A terminal sends SIGINT and SIGHUP to this process and to the program alike; a second one would end the program at once.
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of ["SIGINT", "SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINFO"]) {
    const isSentToBoth = hasTerminal && (signal === "SIGINT" || signal === "SIGHUP");
    try {
      process.on(signal, () => isSentToBoth || child.kill(signal));
    } catch {
      // Not every host has every signal.
    }
  }
  if (hasTerminal) stopWith(child);
  child.on("error", (error) => {
    process.stderr.write(`diskcast: Cannot start "${deno}": ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
