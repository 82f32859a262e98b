/**
 * A screen of tmux as an SVG picture. Pure.
 *
 * @module
 */
import stringWidth from "string-width";

const CELL = { width: 8.4, height: 17 };
const MARGIN = 14;
const PAPER = "#14181f";
const INK = "#d5dbe5";
/** The eight colours and their bright variants, readable on the dark paper. */
const COLOURS = [
  ["#3b4252", "#ef6b73", "#8fca72", "#e5c07b", "#6cb1f0", "#c792ea", "#56c8d8", "#d5dbe5"],
  ["#6b7688", "#ff8790", "#a9e08c", "#ffd68a", "#8cc6ff", "#dcaaff", "#7de3f2", "#ffffff"],
] as const;

interface Style {
  readonly ink: string;
  readonly paper: string | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly reverse: boolean;
}

const PLAIN: Style = { ink: "currentColor", paper: null, bold: false, dim: false, reverse: false };

/**
 * Returns the picture of a screen.
 *
 * @param painted lines with SGR sequences
 * @param columns width in cells
 * @param light whether the background is light
 */
export function terminalSvg(painted: string, columns: number, light = false): string {
  const [paper, ink] = light ? ["#fbfcfe", "#1c2430"] : [PAPER, INK];
  const lines = painted.replace(/\s+$/, "").split("\n");
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN);
  const height = lines.length * CELL.height + 2 * MARGIN;
  const rows: string[] = [];
  let style = PLAIN;
  lines.forEach((line, row) => {
    let column = 0;
    // deno-lint-ignore no-control-regex
    for (const [, codes, text] of line.matchAll(/\x1b\[([\d;]*)m|([^\x1b]+)/g)) {
      if (text === undefined) style = styled(style, codes);
      else {
        rows.push(...spanOf(text, column, row, style));
        column += stringWidth(text);
      }
    }
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `color="${ink}" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">`,
    `<rect width="100%" height="100%" rx="8" fill="${paper}"/>`,
    ...rows,
    "</svg>\n",
  ].join("\n");
}

function spanOf(text: string, column: number, row: number, style: Style): string[] {
  const x = MARGIN + column * CELL.width;
  const y = MARGIN + row * CELL.height;
  const length = stringWidth(text) * CELL.width;
  const [ink, paper] = style.reverse ? [style.paper ?? PAPER, style.ink] : [style.ink, style.paper];
  const box = `<rect x="${round(x)}" y="${y}" width="${round(length)}" height="${CELL.height}" fill="${paper}"/>`;
  const attributes = `fill="${ink}"${style.bold ? ' font-weight="bold"' : ""}${style.dim ? ' opacity="0.65"' : ""}`;
  const element = `<text x="${round(x)}" y="${round(y + 13)}" textLength="${round(length)}" ` +
    `lengthAdjust="spacingAndGlyphs" xml:space="preserve" ${attributes}>${escaped(text)}</text>`;
  return [...(paper === null ? [] : [box]), ...(text.trim() === "" ? [] : [element])];
}

/** Returns the style after an SGR sequence. */
function styled(style: Style, codes: string): Style {
  const list = codes === "" ? [0] : codes.split(";").map(Number);
  let next = style;
  for (let at = 0; at < list.length; at++) {
    const code = list[at];
    if (code === 38 || code === 48) {
      const colour = list[at + 1] === 5 ? indexed(list[at + 2]) : `rgb(${list.slice(at + 2, at + 5).join(",")})`;
      next = code === 38 ? { ...next, ink: colour } : { ...next, paper: colour };
      at += list[at + 1] === 5 ? 2 : 4;
    } else next = simple(next, code);
  }
  return next;
}

function simple(style: Style, code: number): Style {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 7) return { ...style, reverse: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 27) return { ...style, reverse: false };
  if (code === 39) return { ...style, ink: "currentColor" };
  if (code === 49) return { ...style, paper: null };
  if (code >= 30 && code <= 37) return { ...style, ink: COLOURS[0][code - 30] };
  if (code >= 90 && code <= 97) return { ...style, ink: COLOURS[1][code - 90] };
  if (code >= 40 && code <= 47) return { ...style, paper: COLOURS[0][code - 40] };
  if (code >= 100 && code <= 107) return { ...style, paper: COLOURS[1][code - 100] };
  return style;
}

/** Returns one of the 256 colours: the sixteen, the cube, the greys. */
function indexed(index: number): string {
  if (index < 16) return COLOURS[index < 8 ? 0 : 1][index % 8];
  if (index >= 232) return `rgb(${Array(3).fill(8 + (index - 232) * 10).join(",")})`;
  const cube = index - 16;
  const level = (value: number) => value === 0 ? 0 : 55 + value * 40;
  return `rgb(${level(Math.floor(cube / 36))},${level(Math.floor(cube / 6) % 6)},${level(cube % 6)})`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
