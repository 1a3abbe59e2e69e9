interface Box<T> { value: T }
interface Pair<A, B = A> { first: A; second: B }
interface Point { x: number }
type Maybe<T> = T | null
type List<T> = T[]
type Wrapped<T> = { data: T; meta?: Maybe<string> }
interface Limited<T extends string> { only: T }
interface Result<T, E = { message: string }> { ok?: T; error?: E }
export type OfText = Box<string>
export type OfObject = Box<Point>
export type OfInline = Box<{ a: string; b?: number }>
export type OfBox = Box<Box<number>>
export type OfList = Box<string[]>
export type OfUnion = Box<string | number>
export type OfLiterals = Box<"a" | "b">
export type Default = Pair<string>
export type Given = Pair<string, number>
export type Nullable = Maybe<string>
export type NullableObject = Maybe<Point>
export type Listed = List<Point>
export type ListedTwice = List<List<number>>
export type Alias = Wrapped<Point>
export type Constrained = Limited<"x" | "y">
export type WithDefault = Result<number>
export type WithoutDefault = Result<number, string>
export interface Members { a: Box<string>; b: Box<number>; c?: Maybe<Box<Point>>; d: Pair<Point, Box<string>>; e: Box<string> }
export interface Page<T> { items: T[]; total: number }
export type PageOfPoints = Page<Point>
export interface Extends extends Page<Point> { title: string }
export type AndGeneric = Box<string> & { more: number }
export type OfRecord = Box<Record<string, number>>
export type PartialOfGeneric = Partial<Pair<string, number>>
interface Both<T, U> { both: T & U }
export type OfIntersection = Both<{ a: string }, { b: number }>
export interface Defaulted<T = string> { value: T }
export type UsesDefault = { d: Defaulted; e: Defaulted<number> }
