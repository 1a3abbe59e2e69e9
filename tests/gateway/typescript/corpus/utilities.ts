interface User { id: number; name: string; email?: string; tags: string[]; address: Address }
interface Address { street: string; zip?: string }
export type PartialUser = Partial<User>
export type ReadonlyUser = Readonly<User>
export type PickOne = Pick<User, "id">
export type PickTwo = Pick<User, "id" | "email">
export type PickAlias = Pick<User, Keys>
type Keys = "name" | "tags"
export type OmitOne = Omit<User, "id">
export type OmitTwo = Omit<User, "address" | "tags">
export type OmitNothing = Omit<User, "nothing">
export type PartialPick = Partial<Pick<User, "id" | "name">>
export type PickAndPartial = Pick<User, "id"> & Partial<Omit<User, "id">>
export type PartialInline = Partial<{ a: string; b: number }>
export type PartialAnd = Partial<User & { extra: string }>
export type OmitOfExtended = Omit<Admin, "rights">
interface Admin extends User { rights: string[] }
export interface Members { a: Partial<User>; b?: Pick<User, "id">; c: Omit<User, "id">[]; d: Readonly<Address>; e: Partial<Address> | null }
export type ReadonlyInline = Readonly<{ a: string }>
