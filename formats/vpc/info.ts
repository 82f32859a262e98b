/**
 * What `info` shows of a VHD image.
 *
 * @module
 */
import type { FormatInfo } from "../contract.ts";
import type { NamedFile } from "../guest_reader.ts";
import { asciiText } from "../bytes.ts";
import { uuidText } from "../shared/uuid.ts";
import { DYNAMIC, EPOCH, FIXED } from "./footer.ts";
import type { VpcImage } from "./structures.ts";

/** The facts of an image. */
export function factsOf(image: VpcImage, backing: NamedFile | null): FormatInfo {
  const { footer, blocks } = image;
  const { cylinders, heads, sectors } = footer.geometry;
  return {
    "subformat": footer.type === FIXED ? "fixed" : footer.type === DYNAMIC ? "dynamic" : "differencing",
    "creator": asciiText(new TextEncoder().encode(footer.creator)).trimEnd(),
    "created": new Date((EPOCH + footer.timeStamp) * 1000).toISOString(),
    "uuid": uuidText(footer.uuid, "big"),
    "current-size": footer.currentSize,
    "geometry": { "cylinders": cylinders, "heads": heads, "sectors": sectors },
    ...(blocks !== null && { "block-size": blocks.header.blockSize }),
    ...(backing?.id !== undefined && { "parent-uuid": backing.id }),
    "footer-damaged": image.isCopy,
  };
}
