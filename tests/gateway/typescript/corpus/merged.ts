interface Base { id: string; created?: Date }
interface Named { name: string }
interface Sized { size: number; unit?: "cm" | "in" }
interface A { kind: "a"; a: number }
interface B { kind: "b"; b?: string }
export interface Extended extends Base { title: string }
export interface Several extends Base, Named, Sized { own: boolean }
export interface Chain extends Extended { deep: string }
export interface Narrower extends Named { name: "fixed" }
export interface OnlyExtends extends Named {}
export interface ExtendsAlias extends AliasBase { more: number }
type AliasBase = { from: string }
export interface ExtendsGeneric extends Box<number> { label: string }
interface Box<T> { value: T; spare?: T }
export interface ExtendsPick extends Pick<Base, "id"> { own: string }
export interface ExtendsOmit extends Omit<Several, "own" | "size"> { own: number }
export interface ExtendsPartial extends Partial<Named> { own: string }
export type And = Base & Named
export type AndInline = Base & { extra: string }
export type AndThree = Base & Named & Sized
export type Inlines = { a: string } & { b: number }
export type SameMember = { a: string } & { a: string; b: number }
export type OptionalInOne = { a?: string } & { a: string }
export type LiteralNarrows = { k: string } & { k: "a" }
export type WithUnion = Base & (A | B)
export type UnionFirst = (A | B) & Named
export type UnionOfAnds = (Base & A) | (Base & B)
export type AndList = (Base & Named)[]
export type Parenthesised = (Base) & (Named)
export interface Member { both: Base & Named; either: (A & Base) | null }
export type AndIndex = { a: string } & { [k: string]: string }
export type Leading =
  & Base
  & Named
