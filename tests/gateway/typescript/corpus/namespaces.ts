export namespace Shop {
  export interface Item { name: string; price: Money }
  export interface Money { amount: number; currency: Currency }
  export type Currency = "EUR" | "USD"
  export namespace Inner { export interface Deep { item: Item } }
}
export interface Outer { item: Shop.Item; deep?: Shop.Inner.Deep }
export type Currency_ = Shop.Currency
interface Item { other: boolean }
export interface Both { mine: Item; theirs: Shop.Item }
declare namespace Hidden { export interface Thing { a: string } }
export interface UsesHidden { thing: Hidden.Thing }
