/** Words that the glossary of docs/architecture.md has replaced, and words that make persons of code. */
import assert from "node:assert/strict";

const top = new URL("..", import.meta.url);

/** As whole words of comments, docs and other texts, and as parts of identifiers. */
const replaced: readonly (readonly [old: RegExp, now: string])[] = [
  [/\b(?:un)?pack(?:s|ed|er|ing)?\b/i, "compress, decompress"],
  [/\b(?:whoever|nobody|somebody)\b/i, "the caller, no other image, …"],
  [/\bhears?\b/i, "called with, receives"],
  [/\b(?:is|are) told\b/i, "is reported, gets"],
  [/\bgives? way\b|\bgiv(?:es?|en|ing) back\b/i, "evict; deallocate, punch hole"],
  [/\bat hand\b/i, "available, in memory"],
  [/\bowed\b/i, "outstanding, pending"],
  [/\bbeneath\b/i, "backing, parent"],
  [/\b(?:crew|berth|errand|lanes?)\b/i, "worker pool, slot, task, pipeline"],
  [/\bfates?\b/i, "action"],
  [/\bfootprint\b/i, "page cache"],
  [/\bunsound\b/i, "corrupt"],
  [/\brenewals?\b/i, "transaction"],
  [/\bsurveys?\b/i, "estimate"],
  [/\b(?:standIn|stand-in|manners)\b/i, "substitute, options"],
  [/\bcomplain(?:s|ts?)?\b/i, "diagnostic, problem"],
  [
    /(?:^|[^A-Za-z])(?:Crew|Berth|Errand|Lane|Fate|Renewal|Survey|Packer|Unpacker|placeOf|runAt|freshArea|earlySync)/,
    "see the glossary",
  ],
];

/** Lines in which an old word is right: names of others, and words in another sense. */
const allowed: readonly RegExp[] = [
  /7z|tar\b|archive|unpacked form|packages?\b|npm pack/,
  /https?:\/\//,
];

/** Files that speak of old words on purpose. */
const exempt: readonly string[] = ["CHANGELOG.md", "tests/language_test.ts"];

/** Returns every line of a text that has a replaced word, with the word to say. */
export function findings(path: string, text: string): string[] {
  return text.split("\n").flatMap((line, index) => {
    if (allowed.some((pattern) => pattern.test(line))) return [];
    const hit = replaced.find(([old]) => old.test(line));
    return hit ? [`${path}:${index + 1}: ${hit[0].exec(line)?.[0]} → ${hit[1]}: ${line.trim().slice(0, 100)}`] : [];
  });
}

Deno.test("an old word is found, wherever it stands", () => {
  assert.equal(findings("a.ts", "/** Nobody hears of it. */").length, 1);
  assert.equal(findings("a.ts", "const unpack = crew.unpack;").length, 1);
  assert.equal(findings("a.ts", "/** Compresses a cluster. */").length, 0);
});

Deno.test("the glossary holds: no old word in code, comments, tests and docs", () => {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(folder || ".", top))) {
      const path = folder + name;
      if (isDirectory && !name.startsWith(".") && !["dist", "bench", "node_modules"].includes(path)) walk(`${path}/`);
      else if (/\.(ts|md|json)$/.test(name) && !exempt.includes(path)) {
        found.push(...findings(path, Deno.readTextFileSync(new URL(path, top))));
      }
    }
  };
  walk("");
  assert.deepEqual(found, [], `${found.length} lines`);
});
