export interface Tree { value: string; left?: Tree; right?: Tree }
export interface Branch { name: string; children: Branch[] }
export type Linked = { value: number; next: Linked | null }
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
export interface HasJson { json: Json; other?: Json }
export interface Person { name: string; employer?: Company }
export interface Company { name: string; staff: Person[] }
export interface Holder { tree: Tree; branch: Branch }
export type Expression =
  | { op: "number"; value: number }
  | { op: "add" | "multiply"; left: Expression; right: Expression }
  | { op: "negate"; of: Expression }
export type Deep = Deep[]
export type DeepText = string | DeepText[]
interface Node_<T> { value: T; next?: Node_<T>; kids: Node_<T>[] }
export type NodeOfText = Node_<string>
export type Mapped = { [name: string]: Mapped }
export interface Category { id: string; parent: Category | null; related?: Record<string, Category> }
export interface Comment_ { text: string; replies: Reply[] }
export interface Reply extends Comment_ { to: string }
export type Tuple = [string, Tuple?]
