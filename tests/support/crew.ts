/**
 * Workers that copy and compare by themselves, for jobs that are too short to start them.
 *
 * @module
 */
import { crewOf } from "../../core/crew.ts";
import { type FileCrew, fileCrew } from "../../core/file_crew.ts";

/** A crew of two that takes everything from the first byte on. */
export async function readyCrew(): Promise<FileCrew> {
  const crew = fileCrew(crewOf(2), 0);
  while (!crew.takes(0)) await new Promise((resolve) => setTimeout(resolve, 5));
  return crew;
}
