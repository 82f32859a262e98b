import assert from "node:assert/strict";
import { corrupt } from "../../../formats/errors.ts";
import { hostError, permissionFlag } from "../../../formats/storage/host_error.ts";

const rows: [Error, string, string][] = [
  [new Deno.errors.NotFound("x"), "missing", 'Cannot open "a.raw": there is no such file or folder'],
  [new Deno.errors.AlreadyExists("x"), "refused", 'Cannot open "a.raw": it exists already'],
  [new Deno.errors.PermissionDenied("x"), "permission", 'Cannot open "a.raw": the operating system does not permit it'],
  [
    new Deno.errors.NotCapable('Requires read access to "a.raw", run again with the --allow-read flag'),
    "permission",
    'Cannot open "a.raw": Deno must be allowed to read it, add --allow-read=a.raw',
  ],
  [
    new Deno.errors.NotCapable('Requires write access to "a.raw", run again with the --allow-write flag'),
    "permission",
    'Cannot open "a.raw": Deno must be allowed to write it, add --allow-write=a.raw',
  ],
  [
    new Deno.errors.NotCapable('Requires all access to "a.raw", run again with the --allow-all flag'),
    "permission",
    'Cannot open "a.raw": Deno opens what lies in /dev, /proc or /sys only with all permissions, add --allow-all',
  ],
  [new Error("No space left on device (os error 28)"), "io", 'Cannot open "a.raw": no space left on device'],
];

for (const [error, kind, message] of rows) {
  Deno.test(`hostError: ${error.name}: ${error.message.slice(0, 30)}`, () => {
    const mapped = hostError(error, "open", "a.raw", 512);
    assert.deepEqual(
      { kind: mapped.kind, message: mapped.message, path: mapped.path, offset: mapped.offset, cause: mapped.cause },
      { kind, message, path: "a.raw", offset: 512, cause: error },
    );
  });
}

Deno.test("hostError names the place that Deno wants, and all permissions for devices", () => {
  const wants = (path: string) =>
    new Deno.errors.NotCapable(`Requires read access to "${path}", run again with the --allow-read flag`);
  assert.equal(
    hostError(wants("/b/real.raw"), "open", "/a/link.raw").message,
    'Cannot open "/a/link.raw": Deno must be allowed to read "/b/real.raw", add --allow-read=/b/real.raw',
  );
  assert.match(hostError(wants("/dev/sda"), "open", "/dev/sda").message, /add --allow-all$/);
  assert.match(hostError(wants("/device"), "open", "/device").message, /add --allow-read=\/device$/);
});

Deno.test("hostError keeps an ImageError as it is", () => {
  const error = corrupt("Cannot read");
  assert.equal(hostError(error, "open", "a.raw"), error);
});

Deno.test("permissionFlag names the folder above a name that Deno cannot be given", () => {
  assert.equal(permissionFlag("read", "/c/a,b"), "--allow-read=/c");
});
