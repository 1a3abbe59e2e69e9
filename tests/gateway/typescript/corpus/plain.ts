export interface Text { value: string }
export interface Number_ { value: number }
export interface Flag { value: boolean }
export interface Nothing { value: null }
export interface Anything { value: any; other: unknown }
export interface Open { value: object }
export interface When { at: Date; until?: Date }
export interface Optional { a?: string; b?: number; c: boolean }
export interface AllOptional { a?: string; b?: number }
export interface Empty {}
export type Name = string
export type Count = number
export type Yes = boolean
export type Null = null
export type Any = any
export type Unknown = unknown
export type Moment = Date
export type One = { a: string }
export type Commas = { a: string, b: number, c?: boolean }
export type Lines = {
  a: string
  b: number
  c?: boolean
}
export type Mixed = { a: string; b: number, c?: boolean
  d: null }
export type Trailing = { a: string; };
export interface Readonly_ { readonly a: string; readonly b?: number }
export interface Quoted { "first-name": string; 'last name': string; "ok"?: number }
export interface Numbered { 1: string; 2?: number }
export interface Words { type: string; readonly: boolean; interface: number; string: string; default?: null; of: 1 }
export interface Nested { a: { b: { c: { d: string } } } }
export interface Inner { list: { x: number; y?: number }[]; one: { z: string } }
export type Parenthesised = ((string))
export type Underscore_1 = { $dollar: string; _under: number; ünïcode: boolean }
export declare type Declared = { a: string }
export interface Undefined { a: string | undefined; b: undefined | number; c: string | null | undefined }
export type Alias = One
export type AliasOfAlias = Alias
export interface UsesAliases { name: Name; count: Count; nothing: Null; yes?: Yes; when: Moment }
