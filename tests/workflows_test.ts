/** The workflows in .github/: they can be parsed, and the tasks, files and targets that they name exist. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { DENO_VERSION } from "./support/build_npm.ts";

const top = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, top));

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, string | number>>;
}

interface Job {
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly "runs-on"?: string;
  readonly "timeout-minutes"?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly strategy?: { readonly matrix: { readonly include: readonly Readonly<Record<string, string>>[] } };
  readonly steps?: readonly Step[];
}

interface Workflow {
  readonly name: string;
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const names = [...Deno.readDirSync(new URL(".github/workflows", top))].map(({ name }) => name).sort();
const workflows = new Map(names.map((name) => [name, parse(read(`.github/workflows/${name}`)) as Workflow]));
const steps = [...workflows].flatMap(([file, { jobs }]) =>
  Object.entries(jobs).flatMap(([job, { steps = [] }]) => steps.map((step) => ({ where: `${file}, ${job}`, step })))
);

Deno.test("workflows have jobs that can start: a runner, a time limit, steps, and jobs before them that exist", () => {
  assert.deepEqual(names, ["ci.yml", "release.yml"]);
  for (const [file, { name, on, permissions, jobs }] of workflows) {
    assert(name && Object.keys(on).length > 0, file);
    assert.deepEqual(permissions, { contents: "read" }, `${file}: jobs get more where they need it`);
    for (const [id, job] of Object.entries(jobs)) {
      const where = `${file}, ${id}`;
      for (const before of [job.needs ?? []].flat()) assert(before in jobs, `${where} needs ${before}`);
      if (job.uses !== undefined) {
        const called = workflows.get(job.uses.replace("./.github/workflows/", ""));
        assert(called && "workflow_call" in called.on, `${where} uses ${job.uses}`);
        continue;
      }
      assert(job["runs-on"] && job["timeout-minutes"]! > 0 && job.steps!.length > 0, where);
      for (const step of job.steps!) {
        assert.equal([step.uses, step.run].filter((part) => part !== undefined).length, 1, where);
        if (step.uses) assert.match(step.uses, /^[\w-]+\/[\w-]+@v\d+$/, where);
      }
    }
  }
});

Deno.test("the scripts of the workflows are valid, and the tasks and files that they name exist", () => {
  const { tasks } = JSON.parse(read("deno.json")) as { readonly tasks: Record<string, unknown> };
  let files = 0;
  for (const { where, step: { run } } of steps) {
    if (run === undefined) continue;
    const script = run.replace(/\$\{\{.*?\}\}/g, "VALUE");
    const { success, stderr } = new Deno.Command("bash", { args: ["-n", "-c", script] }).outputSync();
    assert(success, `${where}: ${new TextDecoder().decode(stderr)}`);
    for (const [, task] of run.matchAll(/\bdeno task ([\w:]+)/g)) assert(task! in tasks, `${where}: deno task ${task}`);
    for (
      const [path] of run.matchAll(
        /(?<![\w/$.-])(?:tests|docs|cli|\.ci|\.github)\/[\w./-]+|\bCHANGELOG\.md|\bLICENSE\b/g,
      )
    ) {
      assert(Deno.statSync(new URL(path, top)).isFile, `${where}: ${path}`);
      files++;
    }
  }
  assert(files >= 6, `${files} files are named`);
});

Deno.test("one version of Deno everywhere, and the targets of `deno task compile`", () => {
  const versions = steps.filter(({ step }) => step.uses?.startsWith("denoland/setup-deno@"))
    .map(({ step }) => step.with!["deno-version"]);
  const npx = [read("README.md"), read(".ci/run")].flatMap((text) => [...text.matchAll(/deno@([\d.]+)/g)]);
  const all = new Set([...versions, ...npx.map(([, version]) => version)]);
  assert.deepEqual([...all], [DENO_VERSION]);
  const targets = [...read(".github/compile.ts").matchAll(/^ {2}"([\w-]+)",$/gm)].map(([, target]) => target);
  const matrix = workflows.get("release.yml")!.jobs.compile!.strategy!.matrix.include.map(({ target }) => target);
  assert.equal(targets.length, 5);
  assert.deepEqual(matrix, targets);
});

Deno.test("only the jobs that publish may write, and every file of a release is attested", () => {
  const { jobs } = workflows.get("release.yml")!;
  const writing = Object.entries(jobs).filter(([, { permissions = {} }]) =>
    Object.values(permissions).includes("write")
  );
  assert.deepEqual(writing.map(([id]) => id), ["release", "publish-npm", "publish-jsr"]);
  const attested = jobs.release!.steps!.find(({ uses }) => uses?.startsWith("actions/attest-build-provenance@"));
  assert.equal(attested?.with?.["subject-path"], "release/*");
  // Five programs, the built form with the licences, and the npm package.
  const uploads = ["compile", "built", "npm"].map((id) =>
    jobs[id]!.steps!.some(({ uses }) => uses?.includes("upload"))
  );
  assert.deepEqual(uploads, [true, true, true]);
});
