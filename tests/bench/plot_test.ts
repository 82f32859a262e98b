import assert from "node:assert/strict";
import { barPlot, linePlot, picture } from "./plot.ts";
import { figuresOf, type Goal, type Row, sizeText, verdictOf } from "./results.ts";

const axis = { label: "a & b", text: (value: number) => `${value}` };

/** The pixel values of an attribute. */
function numbers(svg: string, attribute: string): number[] {
  return [...svg.matchAll(new RegExp(` ${attribute}="([^"]*)"`, "g"))].map(([, text]) => Number(text));
}

for (const ys of [[1, 2, 3], [0.001, 1, 500], [0, 0, 0], [7, 7, 7]]) {
  Deno.test(`a line plot of ${ys} keeps its points inside the frame, in order`, () => {
    const points = ys.map((y, index) => ({ x: 2 ** index, y }));
    const svg = picture([linePlot({ title: "<t>", x: axis, y: axis, lines: [{ name: "one", points }] })]);
    assert(!/NaN|Infinity|undefined|<t>/.test(svg), svg);
    const [xs, heights] = [numbers(svg, "cx"), numbers(svg, "cy")];
    assert.equal(xs.length, 3);
    assert(xs.every((x, index) => x >= 0 && x <= 460 && (index === 0 || x > xs[index - 1])), `${xs}`);
    assert(heights.every((y) => y >= 48 && y <= 250), `${heights}`);
    assert.equal(heights[0] > heights[2], ys[0] < ys[2], "more is higher up");
  });
}

Deno.test("bars are as long as their values, up to the limit", () => {
  const bars = [{ name: "half", value: 0.5, mark: 0.9 }, { name: "one", value: 1 }, {
    name: "many",
    value: 40,
    mark: 1,
  }];
  const svg = picture([barPlot({ title: "t", limit: 2, text: (value) => value.toFixed(2), bars })]);
  const [half, one, many] = numbers(svg, "width").slice(-3);
  assert(Math.abs(one - 2 * half) < 1 && Math.abs(many - 4 * half) < 1, `${half}, ${one}, ${many}`);
  assert.match(svg, />→ 40\.00</);
});

const row = (name: string, walls: number[], memory: number | null = null): Row => ({
  name,
  costs: walls.map((wall) => ({ wall, cpu: wall, memory })),
});

Deno.test("figures are medians and spread, and goals are judged by them", () => {
  const rows = [row("qemu-img", [2, 9, 1]), row("diskcast", [1, 0.5, 8], 100 * 2 ** 20)];
  const { wall, least, most } = figuresOf(rows[1]);
  assert.deepEqual([wall, least, most], [1, 0.5, 8]);
  const judge = (goal: Goal) => verdictOf(goal, rows);
  const ratio = (most: number): Goal => ({ kind: "ratio", row: "diskcast", against: "qemu-img", most });
  assert.deepEqual(judge(ratio(0.6)), { goal: "≤ 0.60", value: "0.50", reached: true });
  assert.equal(judge(ratio(0.4))?.reached, false);
  assert.equal(judge({ kind: "seconds", row: "diskcast", most: 0.9 })?.reached, false);
  assert.equal(judge({ kind: "memory", row: "diskcast", most: 200e6 })?.reached, true);
  assert.equal(judge({ kind: "more", row: "qemu-img", against: "diskcast", most: 0.1 })?.reached, false);
  assert.equal(judge({ kind: "memory", row: "another program", most: 1 }), null);
});

Deno.test("sizes are shown in the unit that suits them", () => {
  const sizes = [512, 65_536, 2 ** 31, 1.5 * 2 ** 20, 2 ** 44];
  assert.deepEqual(sizes.map(sizeText), ["512 B", "64 KiB", "2 GiB", "1.5 MiB", "16 TiB"]);
});
