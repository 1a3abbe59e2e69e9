interface Cat { kind: "cat"; lives: number }
interface Dog { kind: "dog"; name: string; friend?: Cat }
export type TextOrNumber = string | number
export type Nullable = string | null
export type NullableNumber = null | number
export type NullableFlag = boolean | null
export type Three = string | number | boolean
export type Pet = Cat | Dog
export type NullablePet = Cat | null
export type Inline = { type: "a"; x: number } | { type: "b"; y: string }
export type TextOrPet = string | Cat
export type Absorbed = string | "a"
export type AbsorbedNumber = 1 | number | 2
export type LiteralOrNumber = "auto" | number
export type LiteralsOrNumber = "auto" | "none" | number
export type LiteralsOrNull = "a" | "b" | null
export type TextOrList = string | string[]
export type Lists = string[] | number[]
export type ListOfUnion = (string | number)[]
export type ListOfLiterals = ("a" | "b")[]
export type NullableList = string[] | null
export type UnionOfUnions = TextOrNumber | NullableFlag
export type Nested = ("a" | ("b" | ("c" | "d")))
export interface Members { pet: Cat | Dog; id: string | number; size: "s" | "m" | "l"; maybe?: string | null; or: Pet | null }
export type DateOrNull = Date | null
export type AnyOrText = any | string
export interface Shared { first: Pet; second: Pet; third?: Pet }
export type Discriminated =
  | { event: "created"; id: string; by: { name: string } }
  | { event: "deleted"; id: string; reason?: "spam" | "abuse" | null }
  | { event: "moved"; id: string; from: [number, number]; to: [number, number] }
export type TrueOrText = true | string
export type BoolAndNull = true | false | null
