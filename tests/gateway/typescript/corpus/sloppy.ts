export type BasicSentence { text: string; }
export type Message {
  id: string
  parts: Part[]
}
type Part { kind: "text" | "image", body: string }
export type Generic<T> { value: T }
export type UsesGeneric { of: Generic<string> }
export type Semicolon { a: number };
export type After = { b: BasicSentence }
