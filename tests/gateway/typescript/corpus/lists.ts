interface Point { x: number; y: number }
export type Texts = string[]
export type Generic = Array<string>
export type ReadonlyGeneric = ReadonlyArray<number>
export type Readonly_ = readonly string[]
export type Matrix = number[][]
export type Cube = Array<Array<number[]>>
export type Points = Point[]
export type Inline = { a: string }[]
export type Unknowns = unknown[]
export type Dates = Date[]
export type Nullables = (string | null)[]
export type Pair = [string, number]
export type Single = [string]
export type Named = [from: Point, to: Point]
export type Optional = [string, number?]
export type Rest = [string, ...number[]]
export type OnlyRest = [...string[]]
export type Nothing = []
export type OfTuples = [string, [number, boolean]][]
export type ReadonlyTuple = readonly [string, number]
export type OfLiterals = ["a", 1, true, null]
export type OfUnions = [string | number, "x" | "y"]
export interface Members { a: string[]; b?: Point[]; c: [Point, Point]; d: readonly number[]; e: Array<{ f: string }> }
export type GenericRest = [number, ...Array<Point>]
