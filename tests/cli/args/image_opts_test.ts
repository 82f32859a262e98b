import assert from "node:assert/strict";
import { sourceFromOptions, targetFromOptions } from "../../../cli/args/image_opts.ts";
import { treeOfJson, treeOfOptions } from "../../../cli/args/option_tree.ts";
import { nameParts, storablePath } from "../../../cli/args/image_names.ts";

const source = (text: string) => sourceFromOptions(treeOfOptions(text));

/** A description, and its image. */
const described: readonly (readonly [text: string, image: unknown])[] = [
  ["file.filename=X", { path: "X" }],
  ["driver=qcow2,file.filename=X", { path: "X", format: "qcow2" }],
  ["driver=qcow2,file.driver=file,file.filename=X", { path: "X", format: "qcow2" }],
  ["driver=qcow2,file.filename=a,,b", { path: "a,b", format: "qcow2" }],
  ["driver=qcow2,file.filename=file:X", { path: "file:X", format: "qcow2" }],
  ["driver=qcow2,file.filename=nbd://x", { path: "nbd://x", format: "qcow2" }],
  ["file.filename=X,file.filename=Y", { path: "Y" }],
  ["file.filename=X,", { path: "X" }],
  ["file.driver=host_device,file.filename=/dev/x,driver=raw", { path: "/dev/x", format: "raw" }],
  ["driver=file,filename=X", { path: "X", format: "raw" }],
  ["driver=raw,offset=1M,size=2M,file.filename=X", { path: "X", format: "raw", offset: 2 ** 20, size: 2 ** 21 }],
  ["driver=raw,size=512,file.filename=X", { path: "X", format: "raw", offset: 0, size: 512 }],
  ["driver=raw,offset=512,file.filename=X", { path: "X", format: "raw", offset: 512 }],
  [
    "driver=qcow2,file.driver=raw,file.offset=1k,file.size=64k,file.file.filename=X",
    { path: "X", format: "qcow2", offset: 1024, size: 65536 },
  ],
  ["driver=qcow2,file.driver=raw,file.file.filename=X", { path: "X", format: "qcow2" }],
  [
    "driver=raw,offset=1k,size=1k,file.driver=raw,file.offset=4k,file.size=4k,file.file.filename=X",
    { path: "X", format: "raw", offset: 5120, size: 1024 },
  ],
  [
    "driver=raw,offset=1k,file.driver=raw,file.offset=4k,file.size=4k,file.file.filename=X",
    { path: "X", format: "raw", offset: 5120, size: 3072 },
  ],
  ["driver=qcow2,backing=,file.filename=X", { path: "X", format: "qcow2", backing: null }],
  ["driver=qcow2,file.filename=X,backing.driver=raw,backing.file.filename=Y", {
    path: "X",
    format: "qcow2",
    backing: { path: "Y", format: "raw" },
  }],
  [
    "file.filename=X,backing.file.filename=Y,backing.backing.file.filename=Z,backing.backing.backing=",
    { path: "X", backing: { path: "Y", backing: { path: "Z", backing: null } } },
  ],
  ["file.filename=X,data-file.filename=D", { path: "X", dataFile: "D" }],
  ["file.filename=X,data-file.driver=file,data-file.filename=D", { path: "X", dataFile: "D" }],
  ["file.filename=X,data-file.driver=raw,data-file.file.filename=D", { path: "X", dataFile: "D" }],
  ["file.filename=X,read-only=on,node-name=n,file.node-name=m,file.read-only=on", { path: "X" }],
  ["file.filename=X,l2-cache-size=1M,cache-size=2M,refcount-cache-size=256k,l2-cache-entry-size=4k", { path: "X" }],
  ["driver=qcow2,file.filename=X,lazy-refcounts=on,pass-discard-other=off,cache-clean-interval=60", {
    path: "X",
    format: "qcow2",
  }],
  ["file.filename=X,overlap-check=all", { path: "X" }],
  ["file.filename=X,cache.direct=on,cache.no-flush=off,discard=unmap,detect-zeroes=on,file.aio=native", { path: "X" }],
  ["driver=qcow2,file.driver=blkdebug,file.align=4k,file.image.driver=file,file.image.filename=X", {
    path: "X",
    format: "qcow2",
  }],
  ["driver=blkdebug,image.driver=qcow2,image.file.filename=X", { path: "X", format: "qcow2" }],
  ["driver=copy-on-read,file.driver=qcow2,file.file.filename=X", { path: "X", format: "qcow2" }],
  ["driver=qcow2,file.driver=preallocate,file.prealloc-size=1M,file.file.filename=X", { path: "X", format: "qcow2" }],
  ["driver=vpc,force_size_calc=auto,file.filename=X", { path: "X", format: "vpc" }],
  ["driver=vpc,force_size_calc=chs,file.filename=X", { path: "X", format: "vpc", sizeRule: "geometry" }],
  ["driver=vpc,force_size_calc=current_size,file.filename=X", { path: "X", format: "vpc", sizeRule: "current" }],
  ["file.filename=X,overlap-check.template=cached,overlap-check.active-l2=on", { path: "X" }],
];

for (const [text, image] of described) {
  Deno.test(`described: ${text}`, () => {
    assert.deepEqual(source(text), { image, forceShare: undefined });
  });
}

Deno.test("force-share=off differs from no force-share", () => {
  assert.equal(source("file.filename=X,force-share=on").forceShare, true);
  assert.equal(source("file.filename=X,force-share").forceShare, true);
  assert.equal(source("file.filename=X,force-share=off").forceShare, false);
  assert.equal(source("file.filename=X,noforce-share").forceShare, false);
});

/** A description that is refused, and its message. */
const refused: readonly (readonly [text: string, message: RegExp])[] = [
  ["X", /"file"=X: that would be the name of a node.*write file\.filename=X/],
  ["file=X", /name of a node/],
  ["driver=qcow2", /"file\.filename" must be given/],
  ["driver=qcow2,filename=X", /"file\.filename" must be given/],
  ["driver=qcow2,file.driver=file", /"file\.filename" must be given/],
  ["driver=file", /"filename" must be given/],
  ["file.filename=", /"file\.filename" must be given/],
  ["file.filename=X,file=Y", /both as a name and as a group/],
  ["X,file.filename=Y", /both as a name and as a group/],
  ["file.filename=X,file.filename.x=1", /both as a name and as a group/],
  ["file.driver=nbd,file.host=h", /"file\.driver"=nbd: it must be file, host_device, or raw/],
  ["driver=raw,file.driver=qcow2,file.file.filename=X", /"file\.driver"=qcow2/],
  ["driver=qcow2,offset=1M,file.filename=X", /Cannot honour "offset": .* offset and size go with driver=raw/],
  ["driver=raw,file.filename=X,l2-cache-size=1M", /Cannot honour "l2-cache-size": possible here are driver/],
  ["file.filename=X,l2-cache-size=x", /size "x" of "l2-cache-size"/],
  ["file.filename=X,lazy-refcounts=maybe", /"maybe" for "lazy-refcounts": it must be on or off/],
  ["file.filename=X,overlap-check=some", /"some" for "overlap-check": it must be none, constant, cached, all/],
  ["file.filename=X,overlap-check.template=x", /"x" for "overlap-check\.template"/],
  ["file.filename=X,overlap-check.l3=on", /Cannot honour "overlap-check\.l3": possible here are template, main-header/],
  ["file.filename=X,cache-clean-interval=1.5", /"1\.5" for "cache-clean-interval": .* whole number of seconds/],
  ["file.filename=X,cache.direct=maybe", /"maybe" for "cache\.direct"/],
  ["file.filename=X,cache.size=1", /Cannot honour "cache\.size"/],
  ["file.filename=X,discard=some", /"some" for "discard": it must be ignore, off, unmap, on/],
  ["driver=blkdebug,config=a.conf,image.filename=X", /Cannot honour "config": errors are not injected/],
  ["driver=blkdebug,inject-error.0.event=read_aio,image.filename=X", /Cannot honour "inject-error\.0"/],
  ["driver=qcow2,force_size_calc=chs,file.filename=X", /Cannot honour "force_size_calc"/],
  ["driver=vpc,force_size_calc=x,file.filename=X", /"x" for "force_size_calc": it must be auto, chs or current_size/],
  ["file.filename=X,file.locking=off", /Cannot honour "file\.locking"/],
  ["file.filename=X,file.offset=1", /Cannot honour "file\.offset"/],
  ["file.filename=X,backing=node", /"backing"=node: that would be the name of a node/],
  ["file.filename=X,backing.driver=raw", /"backing\.file\.filename" must be given/],
  ["file.filename=X,backing.file.filename=Y,backing.force-share=on", /"backing\.force-share"/],
  ["file.filename=X,data-file=node", /"data-file"=node/],
  ["file.filename=X,data-file.driver=raw,data-file.offset=1k,data-file.file.filename=D", /must be a whole file/],
  ["file.filename=X,read-only=off", /"read-only"=off: sources are only read/],
  ["file.filename=X,read-only=maybe", /"maybe" for "read-only": it must be on or off/],
  ["driver=raw,offset=-1,file.filename=X", /size "-1" of "offset"/],
  ["driver=raw,size=8k,file.driver=raw,file.size=4k,file.file.filename=X", /leaves that of the file/],
  ["driver.x=1,file.filename=X", /"driver": it must be a single value/],
  ["encrypt.key-secret=s,file.filename=X", /Cannot honour "encrypt\.key-secret"/],
];

for (const [text, message] of refused) {
  Deno.test(`description refused: ${text}`, () => {
    assert.throws(() => source(text), { kind: "usage", message });
  });
}

Deno.test("a target is described with its backing file", () => {
  const target = (text: string) => targetFromOptions(treeOfOptions(text));
  assert.deepEqual(target("driver=qcow2,file.filename=X,backing=,read-only=off"), {
    path: "X",
    format: "qcow2",
    backingOfExisting: null,
  });
  assert.deepEqual(target("driver=raw,offset=512,size=1k,file.filename=X"), {
    path: "X",
    format: "raw",
    offset: 512,
    size: 1024,
  });
  assert.deepEqual(target("file.filename=X,backing.file.filename=Y,backing.read-only=on"), {
    path: "X",
    format: undefined,
    backingOfExisting: { path: "Y" },
  });
  assert.throws(() => target("file.filename=X,read-only=on"), /the target must be writable/);
  assert.throws(() => target("file.filename=X,force-share=on"), /it is for sources/);
  assert.throws(() => target("file.filename=X,data-file.filename=D"), /data-file for the target/);
});

Deno.test("a json: name has the same keys, nested or with dots", () => {
  const json = (value: unknown) => sourceFromOptions(treeOfJson(JSON.stringify(value))).image;
  const image = { path: "X", format: "qcow2", offset: 512, backing: null };
  assert.deepEqual(
    json({ driver: "qcow2", backing: null, file: { driver: "raw", offset: 512, file: { filename: "X" } } }),
    image,
  );
  assert.deepEqual(
    json({ "driver": "qcow2", "backing": null, "file.driver": "raw", "file.offset": "512", "file.file.filename": "X" }),
    image,
  );
  assert.deepEqual(json({ "file": { "filename": "a,b" }, "read-only": true }), { path: "a,b" });
});

Deno.test("a wrong json: name is refused", () => {
  for (
    const [text, message] of [
      ["{", /Cannot read the json: name/],
      ["[]", /must be an object/],
      ["null", /must be an object/],
      ['"x"', /must be an object/],
      ['{"file":[1]}', /list in "file"/],
      ['{"file":{"server":[1]}}', /list in "file\.server"/],
      ['{"file":"x"}', /name of a node/],
      ['{"file":{"filename":"x"},"__proto__":{"driver":"raw"}}', /"__proto__/],
    ] as const
  ) assert.throws(() => sourceFromOptions(treeOfJson(text)), { kind: "usage", message }, text);
});

Deno.test("names are split at the first colon before the first slash", () => {
  assert.deepEqual(nameParts("a", false), { path: "a" });
  assert.deepEqual(nameParts("./a:b", false), { path: "./a:b" });
  assert.deepEqual(nameParts("/x/a:b", false), { path: "/x/a:b" });
  assert.deepEqual(nameParts("file:///a", false), { path: "///a" });
  assert.deepEqual(nameParts("host_device:/dev/sda", false), { path: "/dev/sda" });
  assert.deepEqual(nameParts('json:{"a":"b:c"}', false), { json: '{"a":"b:c"}' });
  assert.deepEqual(nameParts("dir\\a:b", true), { path: "dir\\a:b" });
  assert.deepEqual(nameParts("c:a", true), { path: "c:a" });
  assert.throws(() => nameParts("dir\\a:b", false), /Unknown protocol/);
  assert.deepEqual(nameParts("blkdebug::a", false), { path: "a" });
  for (
    const [name, way] of [
      ["rbd:pool/image", /rbd map/],
      ["iscsi://host/target/0", /iscsiadm/],
      ["nbd:localhost:10809", /nbdcopy/],
      ["nbd+unix:///?socket=s", /nbdcopy/],
      ["ssh://host/disk", /scp/],
      ["https://host/disk", /download/],
      ["nfs://host/disk", /mount/],
      ["fat:rw:folder", /mkfs\.fat/],
      ["vvfat:folder", /mkfs\.fat/],
      ["null-co://", /truncate -s/],
      ["blkdebug:a.conf:disk", /name the file itself/],
    ] as const
  ) assert.throws(() => nameParts(name, false), { kind: "usage", message: way }, name);
  assert.throws(() => nameParts("FILE:a", false), /Unknown protocol "FILE"/);
  assert.equal(storablePath("x:y", false), "./x:y");
  assert.equal(storablePath("d/x:y", false), "d/x:y");
});
