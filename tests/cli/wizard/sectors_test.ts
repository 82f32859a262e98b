/** The wizard asks about the partition table of a disk of 4096-byte sectors, where the target has others. */
import assert from "node:assert/strict";
import { allFormats, type DiskContents } from "../../../mod.ts";
import { type Answers, argsOf, type SourceInfo, stepsFor } from "../../../cli/wizard/answers.ts";
import { choiceFor } from "../../../cli/wizard/questions.ts";
import { parseConvert } from "../../../cli/commands/convert.ts";

const sourceOf = (table: DiskContents["table"], sectorSize: number): SourceInfo => ({
  format: "vhdx",
  size: 1 << 30,
  allocated: 1 << 20,
  layers: [{ path: "/a.vhdx", format: "vhdx", size: 1 << 30 }],
  snapshots: [],
  contents: { table, sectorSize, partitions: [], boot: { bios: "nothing", uefi: [] } } as unknown as DiskContents,
});

Deno.test("the question about sectors comes only where they change, and its answer is an option of convert", async () => {
  const asks = (answers: Answers, source: SourceInfo) =>
    stepsFor(answers, { formats: allFormats, source }).includes("sectors");
  const gpt = sourceOf("gpt", 4096);
  for (const destination of ["azure", "virtualbox", "esxi", "gcp", "proxmox"]) {
    assert.ok(asks({ source: "/a.vhdx", destination }, gpt), destination);
  }
  assert.ok(!asks({ source: "/a.vhdx", destination: "hyperv-gen2" }, gpt), "a VHDX keeps its sectors");
  assert.ok(!asks({ source: "/a.vhdx", destination: "azure" }, sourceOf("gpt", 512)));
  assert.ok(!asks({ source: "/a.vhdx", destination: "azure" }, sourceOf("mbr", 4096)));

  const context = { formats: allFormats, source: gpt };
  const answers: Answers = { source: "/a.vhdx", destination: "azure", output: "/b.vhd" };
  const question = choiceFor("sectors", answers, context);
  assert.match(question.message, /sectors of 4096 bytes/);
  assert.equal(question.initial, "convert");
  for (const [sectors, option] of [["convert", "convertGpt"], ["keep", "allowSectorSizeChange"]] as const) {
    const request = await parseConvert(argsOf({ ...answers, sectors }, context).slice(1), allFormats, false);
    assert.equal(request.kind === "job" && request.job[option], true, sectors);
  }
});
