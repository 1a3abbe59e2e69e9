export type EmptyLiteral = {}
export interface EmptyMember { value: {} }
export type Big = bigint
export type Id = `id-${number}`
export type RequiredMembers = Required<{ a?: string; b?: number }>
export type ReadonlyList = Readonly<string[]>
export interface TwoParts { a: string }
export interface TwoParts { b: string }
export type ObjectAnd = object & { a: string }
export interface Integral { /** @asType integer */ value: number | null }
export type OptionalNamed = [a: string, b?: number]
export type PartialUnion = Partial<{ k: "a"; a: string } | { k: "b" }>
export interface OneLine { /** a */ a: string; /** b */ b?: number /* c */ }
export type RequiredAlready = Required<{ a: string; b: number }>
