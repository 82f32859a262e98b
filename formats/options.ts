/**
 * Options of a format (`-o`), as data: the argument reader, the help and the wizard read the same specifications.
 *
 * @module
 */

/** The specification of one option. */
export interface OptionSpec {
  /** As in `-o`. */
  readonly name: string;
  /** `size` takes `64k`, `2M`; `flag` takes on and off; `file` names a further file that is created with the image. */
  readonly type: "size" | "number" | "flag" | "text" | "choice" | "file";
  /** One line for the user. */
  readonly help: string;
  /** The legal values of a `choice`. */
  readonly values?: readonly string[];
  /** The value of an absent option; absent where that depends on other options. */
  readonly default?: string | number | boolean;
  /** Smallest value of a `size` (in bytes) or a `number`. */
  readonly min?: number;
  /** Greatest value of a `size` (in bytes) or a `number`. */
  readonly max?: number;
}

/** Option values, checked against their specifications; absent options are left out. */
export type OptionValues = { readonly [name: string]: string | number | boolean };
