/** A person. */
export interface Person {
  /** The full name. */
  name: string
  /**
   * In years.
   * @minimum 0
   * @maximum 150
   * @asType integer
   */
  age: number
  // not for the schema
  plain: string
  /* nor this */
  other?: string
}
export interface Keywords {
  /** @minLength 1
   * @maxLength 10 */
  short: string
  /** @pattern ^[a-z]+$ */
  lower: string
  /** @format email */
  email: string
  /** @minItems 1
   * @maxItems 3
   * @uniqueItems true */
  few: string[]
  /** @exclusiveMinimum 0
   * @exclusiveMaximum 1 */
  share: number
  /** @multipleOf 5 */
  fives: number
  /** @default "x" */
  text?: string
  /** @default 5 */
  five?: number
  /** @default ["a"] */
  list?: string[]
  /** @title A title */
  titled: string
  /** @deprecated */
  old?: string
  /** @examples ["a", "b"] */
  shown: string
}
/** How old.
 * @minimum 0
 * @asType integer */
type Age = number
export interface UsesAlias { age: Age; other?: Age }
/** Over
 * several lines.
 *
 * And a paragraph.
 */
export type Long = { a: string }
/** A size. */
export type Size = "s" | "m" | "l"
export interface UsesSize { size: Size; maybe: Size | null }
/** Days. */
export enum Day { /** first */ Monday = "mo", Tuesday = "tu" }
export interface Described {
  /** the first */
  first: Person
  /** a list */
  list: Person[]
}
/** Unknown tags are no keywords.
 * @see elsewhere
 * @author nobody
 */
export type Tagged = { a: string }
