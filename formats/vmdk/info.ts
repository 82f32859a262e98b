/**
 * What `info` shows of a VMDK.
 *
 * @module
 */
import type { FormatInfo, InfoValue } from "../contract.ts";
import type { Descriptor, ExtentLine } from "./descriptor.ts";

/** What is known of one extent. */
export interface ExtentFacts {
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  readonly line: ExtentLine | null;
  readonly compressed?: boolean;
  readonly grainBytes?: number;
}

/** The info of an image; `descriptor` is null where it has none. */
export function factsOf(descriptor: Descriptor | null, extents: readonly ExtentFacts[]): FormatInfo {
  const value = (key: string) => descriptor?.values.get(key);
  const stated: { readonly [name: string]: string | number | null | undefined } = {
    "create-type": descriptor?.createType,
    "cid": numberOf(descriptor?.cid),
    "parent-cid": numberOf(descriptor?.parentCid),
    "adapter-type": value("ddb.adaptertype"),
    "hardware-version": value("ddb.virtualhwversion"),
    "tools-version": value("ddb.toolsversion"),
  };
  const facts: { [name: string]: InfoValue } = {};
  for (const [name, fact] of Object.entries(stated)) if (fact !== null && fact !== undefined) facts[name] = fact;
  return { ...facts, extents: extents.map(extentFact) };
}

/** A content ID, eight hexadecimal digits, as the number that other programs show. */
function numberOf(id: string | null | undefined): number | null {
  return id === null || id === undefined ? null : parseInt(id, 16);
}

function extentFact({ format, size, line, compressed, grainBytes }: ExtentFacts): FormatInfo {
  return {
    ...(line !== null && line.name !== "" && { filename: line.name }),
    format,
    ...(line !== null && { access: line.access }),
    "virtual-size": size,
    ...(grainBytes !== undefined && { "cluster-size": grainBytes }),
    ...(compressed && { compressed }),
  };
}
