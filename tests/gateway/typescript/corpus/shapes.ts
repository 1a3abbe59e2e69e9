export interface CalendarActions { actions: CalendarAction[] }
export type CalendarAction = AddEvent | RemoveEvent | FindEvents | NotUnderstood
interface AddEvent { type: "add event"; event: CalendarEvent }
interface RemoveEvent { type: "remove event"; reference: EventReference }
interface FindEvents { type: "find events"; reference: EventReference }
/** When the request makes no sense. */
interface NotUnderstood { type: "unknown"; text: string }
interface CalendarEvent { day: string; range: TimeRange; description: string; location?: string; participants?: string[] }
interface TimeRange { from?: string; to?: string; duration?: string }
interface EventReference { day?: string; range?: string; range2?: TimeRange; participants?: string[] }

export type Sentiment = { sentiment: "negative" | "neutral" | "positive" }
export interface Classification { label: "bug" | "feature" | "question"; confidence: number; reasons: string[] }

export interface Menu { orders: (Latte | Pastry)[] }
interface Latte { kind: "latte"; size?: "short" | "tall" | "grande"; milk?: Milk; shots?: 1 | 2 | 3; options?: (Syrup | Topping)[] }
type Milk = "whole" | "oat" | "soy"
interface Syrup { kind: "syrup"; name: "vanilla" | "caramel"; amount?: Amount }
interface Topping { kind: "topping"; name: "cinnamon" | "foam"; amount?: Amount }
type Amount = "no" | "light" | "regular" | "extra" | number
interface Pastry { kind: "pastry"; name: string; warmed?: boolean }

export interface Article { title: string; authors: { name: string; orcid?: string | null }[]; abstract: string; keywords: string[]; year: number; doi?: string; sections: Section[] }
interface Section { heading: string; body: string; subsections?: Section[] }

export interface Invoice { number: string; date: Date; seller: Party; buyer: Party; lines: Line[]; total: Money; paid: boolean }
interface Party { name: string; address: PostalAddress; vat?: string }
interface PostalAddress { lines: string[]; zip: string; city: string; country: "DE" | "FR" | "IT" }
interface Line { text: string; quantity: number; price: Money; tax?: 0 | 7 | 19 }
interface Money { amount: number; currency: string }

export type Drawing = { shapes: Shape[]; canvas: { width: number; height: number; background?: Color } }
type Color = string | [number, number, number]
type Shape =
  | { shape: "circle"; center: Position; radius: number; fill?: Color }
  | { shape: "line"; from: Position; to: Position }
  | { shape: "group"; children: Shape[] }
type Position = { x: number; y: number }

export interface ToolCall { tool: "search" | "open"; arguments: Record<string, string | number | boolean>; id: string }
export interface Crossword { across: Clue[]; down: Clue[] }
interface Clue { number: number; clue: string; answer?: string; cells: [row: number, column: number][] }
export type MathProgram = Step[]
interface Step { call: "add" | "sub" | "mul" | "div"; args: (number | { ref: number })[] }
export interface HealthRecord { quantity?: { value: number; units: string }; name: string; frequency?: "daily" | "weekly"; dates: { start: string; end: string | null } }
export interface Settings extends Partial<Defaults> { name: string }
interface Defaults { theme: "dark" | "light"; size: number; flags: Record<string, boolean> }
