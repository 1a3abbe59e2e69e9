export enum Numbered { A, B, C }
export enum Started { A = 5, B, C }
export enum Texts { Up = "UP", Down = "DOWN" }
export enum Mixed { A, B = "b", C = 3, D }
export const enum Constant { A = "a", B = "b" }
export declare enum Declared { X = 1, Y = 2 }
export enum Negative { A = -1, B, C }
export enum One { Only = "only" }
export enum Quoted { "a-b" = 1, 'c d' }
enum Hidden { A = "x", B = "y" }
export interface Members { numbered: Numbered; texts?: Texts; hidden: Hidden; list: Texts[] }
export type Member = Texts.Up
export type Members2 = Texts.Up | Mixed.C
export type OrNull = Texts | null
export type OrText = Numbered | "none"
export interface Discriminated { kind: Texts.Up; value: number }
export enum Trailing { A, B, }
