/**
 * Readers that share no code with diskcast or QEMU: the libraries of libyal, through Python.
 *
 * @module
 */
import assert from "node:assert/strict";
import { run } from "./qemu.ts";

const PYTHON = "/usr/bin/python3";

/** The library for each format, and the Python statements that open an image with it. */
const LIBRARIES = {
  vhdx: { name: "pyvhdi", package: "python3-libvhdi", open: "disk = pyvhdi.file(); disk.open(sys.argv[1])" },
  vmdk: {
    name: "pyvmdk",
    package: "python3-libvmdk",
    open: "disk = pyvmdk.handle(); disk.open(sys.argv[1]); disk.open_extent_data_files()",
  },
} as const;

/** Throws if the image at `path` does not read as the bytes of the file `model`. */
export type OtherReader = (path: string, model: string) => Promise<void>;

/** Returns the reader for a format; null, with a warning, if it is not installed. */
export async function libyal(format: keyof typeof LIBRARIES): Promise<OtherReader | null> {
  const library = LIBRARIES[format];
  const found = await run(PYTHON, ["-c", `import ${library.name}`]).catch(() => null);
  if (found?.code !== 0) {
    console.warn(`${library.name} is not installed (Debian: ${library.package}): tests that need it are skipped`);
    return null;
  }
  const program = `
import ${library.name}, mmap, sys
${library.open}
file = open(sys.argv[2], "rb")
model = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
assert disk.get_media_size() == len(model), disk.get_media_size()
for at in range(0, len(model), 100000):
    disk.seek(at)
    assert disk.read(100000) == model[at:at + 100000], at
`;
  return async (path, model) => {
    const { code, stderr } = await run(PYTHON, ["-c", program, path, model]);
    assert.equal(code, 0, stderr);
  };
}
