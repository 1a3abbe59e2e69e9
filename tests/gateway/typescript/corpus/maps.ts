interface Point { x: number; y: number }
export type Plain = Record<string, number>
export type OfObjects = Record<string, Point>
export type OfUnknown = Record<string, unknown>
export type OfAny = Record<string, any>
export type OfLists = Record<string, string[]>
export type ByNumber = Record<number, string>
export type Named = Record<"a" | "b", number>
export type ByAlias = Record<Keys, Point>
type Keys = "left" | "right"
export type ByOne = Record<"only", string>
export type Index = { [key: string]: number }
export type IndexOfObjects = { [id: string]: Point }
export type IndexByNumber = { [n: number]: string }
export type WithMembers = { a: string; [key: string]: unknown }
export interface Indexed { name: string; [key: string]: string }
export type Nested = Record<string, Record<string, boolean>>
export interface Members { map: Record<string, string>; index: { [k: string]: Point }; named?: Record<"x" | "y", boolean> }
export type PartialRecord = Partial<Record<"a" | "b", number>>
export type ByEnum = Record<Side, number>
enum Side { Left = "left", Right = "right" }
export type OfUnion = Record<string, string | number>
export type Nullable = Record<string, string> | null
export type Optional = { [k: string]: string | null }
