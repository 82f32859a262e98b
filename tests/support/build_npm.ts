/**
 * `deno task npm`: the npm package in dist/npm/.
 *
 * - `bin/`: the command, a program for Node.js that starts the built form in Deno with the permissions that it needs
 * - `program/`: the built form
 * - Deno itself comes with the platform packages of Deno, as optional dependencies. The package `deno` is not among the
 *   dependencies, because it has an install script, which package managers run only where the user allows it.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { PLATFORMS } from "../../npm/deno_program.js";
import { build } from "./build.ts";

const SOURCE = new URL("../../", import.meta.url);

/** The version of Deno that the program is tested with. */
export const DENO_VERSION = "2.9.6";

/** Builds the npm package into `folder`, and removes what an earlier build left there. Returns its package.json. */
export async function buildNpm(folder: string): Promise<Record<string, unknown>> {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  const { version } = await build(`${folder}/program`);
  await Deno.mkdir(`${folder}/bin`);
  for (const name of ["diskcast.js", "deno_program.js", "permissions.js"]) {
    await Deno.copyFile(new URL(`npm/${name}`, SOURCE), `${folder}/bin/${name}`);
  }
  await Deno.chmod(`${folder}/bin/diskcast.js`, 0o755).catch(() => {});
  for (const name of ["LICENSE", "README.md"]) await Deno.copyFile(new URL(name, SOURCE), `${folder}/${name}`);
  const manifest = {
    name: "diskcast",
    version,
    description: "Converts virtual disk images: raw, qcow2, VMDK, VDI, VHD and VHDX",
    keywords: ["virtual disk", "disk image", "qemu-img", "qcow2", "vmdk", "vdi", "vhd", "vhdx"],
    license: "MIT",
    type: "module",
    bin: { diskcast: "bin/diskcast.js" },
    files: ["bin", "program"],
    engines: { node: ">=20" },
    optionalDependencies: Object.fromEntries(Object.values(PLATFORMS).map((name) => [name, DENO_VERSION])),
  };
  await Deno.writeTextFile(`${folder}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

if (import.meta.main) {
  const folder = Deno.args[0] ?? fileURLToPath(new URL("dist/npm", SOURCE));
  const { name, version } = await buildNpm(folder);
  console.log(`${folder}: ${name} ${version}`);
}
