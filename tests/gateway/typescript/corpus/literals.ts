export type Text = "x"
export type Single = 'single'
export type Whole = 5
export type Negative = -5
export type Decimal = 1.5
export type Exponent = 1e3
export type Hexadecimal = 0xff
export type Octal = 0o17
export type Binary = 0b101
export type Separated = 1_000_000
export type True = true
export type False = false
export type Escapes = "a\"b" | 'it\'s' | "line\nbreak" | "\x41\u0042\u{43}"
export type Emoji = "😀" | "\u{1F600}!"
export type Template = `plain`
export type Colors = "red" | "green" | "blue"
export type Leading =
  | "one"
  | "two"
  | "three"
export type Numbers = 1 | 2 | 3
export type MixedLiterals = 1 | "x" | true | null
export type Twice = "a" | "b" | "a"
export type Both = true | false
export type NullableText = "a" | null
export type NullableWhole = 1 | null
export interface Holder { kind: "holder"; version: 1 | 2; ok: true; not?: false; empty: "" }
export type Zero = 0 | -1
