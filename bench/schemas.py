"""TypeScript types as callers write them: twenty that the demo model answers, with what it is asked, and a long one."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """A type, and what is asked of it: each question is put about each subject."""

    name: str
    text: str
    type_name: str
    questions: tuple[str, ...]  # with {} where the subject goes
    subjects: tuple[str, ...]

    @property
    def prompts(self) -> Iterator[str]:
        """The first ones already differ in both."""
        questions, subjects = self.questions, self.subjects
        for turn in range(len(subjects)):
            for i, question in enumerate(questions):
                yield question.format(subjects[(turn + i) % len(subjects)])


CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Tokyo", "Quito", "Delhi", "Dublin", "Boston")
PEOPLE = ("Tom", "Lily", "Anna", "Ben", "Mia", "Max", "Sara", "Leo", "Ella", "Sam")
THINGS = ("a lamp", "a red ball", "a bike", "a box of tea", "a clock", "a hat", "a boat", "a kite", "a chair", "a drum")
ANIMALS = ("a dog", "a cat", "a bird", "a frog", "a horse", "a bear", "a duck", "a fox", "a rabbit", "a fish")

SCHEMAS: tuple[Asked, ...] = (
    Asked(
        "flat",
        """
export interface Weather {
  place: string;
  degrees: number;
  sky: "clear" | "cloudy" | "rain" | "snow";
  windy: boolean;
}
""",
        "Weather",
        (
            "What is the weather like in {}?",
            "Describe a summer day in {}.",
            "It was cold in {} and the wind blew. Report it.",
            "Give me tomorrow's forecast for {}",
            "{}: clear sky, 21 degrees, no wind",
        ),
        CITIES,
    ),
    Asked(
        "nested",
        """
export interface Person {
  name: string;
  age: number;
  address: {
    street: string;
    city: string;
    country: { name: string; code: string };
  };
  employed: boolean;
}
""",
        "Person",
        (
            "{} is 34 years old and lives at 5 Long Street, Dublin, Ireland.",
            "Make up a person called {}.",
            "Who is {}?",
            "Extract the person: my name is {}, I am 12 and live in Rome.",
            "Where does {} live? Answer with all that you know.",
        ),
        PEOPLE,
    ),
    Asked(
        "enum",
        """
/** How a customer felt. */
export enum Feeling { Happy = "happy", Neutral = "neutral", Angry = "angry" }

/** How good it was: the more, the better. */
export enum Stars { One = 1, Two, Three }

export interface Review {
  feeling: Feeling;
  stars: Stars;
  reason: string;
}
""",
        "Review",
        (
            "Review: I bought {} and it broke on the first day.",
            "Review: {} is just what I wanted, thank you!",
            'Classify this: "{}? It is all right."',
            "How did the customer feel about {}?",
            "The shop sent {} two weeks late. What would you say?",
        ),
        THINGS,
    ),
    Asked(
        "tagged union",
        """
interface Circle { kind: "circle"; radius: number }
interface Square { kind: "square"; side: number }
interface Rectangle { kind: "rectangle"; width: number; height: number }

export type Shape = Circle | Square | Rectangle;
""",
        "Shape",
        (
            "Which shape has {}?",
            "Draw a simple shape for {}.",
            "{} seen from above is round, 3 m wide.",
            "A box for {} is 20 cm wide and 30 cm high.",
            "What shape comes closest to {}?",
        ),
        THINGS,
    ),
    Asked(
        "optional",
        """
export interface Contact {
  name: string;
  email?: string;
  phone?: string;
  company?: { name: string; website?: string };
  newsletter?: boolean;
}
""",
        "Contact",
        (
            "{}, of Long & Sons, phone 555 0199",
            "Please add {} to my contacts.",
            "You can write to {} at the usual address.",
            "{} does not want a newsletter.",
            "What do we know about {}?",
        ),
        PEOPLE,
    ),
    Asked(
        "arrays",
        """
interface Ingredient {
  name: string;
  amount: number;
  unit: "g" | "ml" | "piece";
}

export interface Recipe {
  title: string;
  ingredients: Ingredient[];
  steps: Array<string>;
  tags: readonly string[];
}
""",
        "Recipe",
        (
            "How do I cook {}?",
            "A quick recipe for {}, please.",
            "My grandmother made {} on Sundays. Write down her recipe.",
            "Cook {} for four people.",
            "What do I need to make {} at home?",
        ),
        ("soup", "bread", "an apple pie", "rice", "pasta", "a salad", "pancakes", "a cake", "fish", "an omelette"),
    ),
    Asked(
        "record",
        """
export interface Inventory {
  warehouse: string;
  stock: Record<string, number>;
  prices: { [product: string]: number };
  open: Record<"monday" | "friday" | "sunday", boolean>;
}
""",
        "Inventory",
        (
            "What is in the warehouse in {}?",
            "The warehouse in {} holds 12 lamps and 3 chairs, and is closed on Sundays.",
            "List the stock of {}.",
            "We opened a new store in {} and it is still empty.",
            "How many apples are there in {}?",
        ),
        CITIES,
    ),
    Asked(
        "tuples",
        """
type Point = [latitude: number, longitude: number];

export interface Route {
  from: Point;
  to: Point;
  stops: [name: string, minutes: number][];
  colour: [number, number, number];
}
""",
        "Route",
        (
            "Plan a route from {} to the sea.",
            "How do I get to {} by train?",
            "From {} to Paris, with one stop.",
            "Draw the bus line of {} in blue.",
            "Which way is {} from here?",
        ),
        CITIES,
    ),
    Asked(
        "template literals",
        """
type Version = `v${number}.${number}`;

export interface Release {
  version: Version;
  article: `SKU-${number}`;
  channel: `${"stable" | "beta"}-${"linux" | "mac"}`;
  notes: string;
}
""",
        "Release",
        (
            "We have released {}.",
            "The second version of {} is out, for Linux.",
            "Write the release notes of {}.",
            "What is new in {}?",
            "{}: beta, article 4411",
        ),
        (
            "the app",
            "the editor",
            "a game",
            "the map",
            "a player",
            "the shop",
            "the chat",
            "a tool",
            "the site",
            "Kite",
        ),
    ),
    Asked(
        "bounds",
        """
export interface Rating {
  /** The title.
   * @minLength 3
   * @maxLength 20 */
  title: string;
  /** @minimum 1
   * @maximum 5 */
  stars: number;
  /** @exclusiveMinimum 0
   * @maximum 100
   * @asType integer */
  percent: number;
  /** @pattern ^[A-Z]{3}-[0-9]{4}$ */
  code: string;
  /** @minItems 1
   * @maxItems 3
   * @uniqueItems */
  tags: string[];
}
""",
        "Rating",
        (
            "Rate {}, please.",
            "I give {} four stars.",
            "How good is {}, from 1 to 5?",
            "{} is too small and too dear.",
            "What do people say of {}?",
        ),
        THINGS,
    ),
    Asked(
        "dates and formats",
        """
export interface Event {
  title: string;
  starts: Date;
  /** @format date */
  day: string;
  /** @format email */
  organiser: string;
  /** @format uuid */
  id: string;
}
""",
        "Event",
        (
            "{} has a birthday party on the 4th of May 2026 at 15:00.",
            "Plan a meeting with {}.",
            "When does {} come?",
            "Remind me to call {} tomorrow morning.",
            "{} invites you to a picnic.",
        ),
        PEOPLE,
    ),
    Asked(
        "nullable",
        """
export interface Patient {
  name: string;
  nickname: string | null;
  age: number | null;
  doctor: { name: string; room: number | null } | null;
  allergies: string[] | null;
}
""",
        "Patient",
        (
            "{} has no doctor yet.",
            "Patient {}, called Sunny, allergic to nuts.",
            "{} feels sick. Make a record.",
            "How old is {}?",
            "Doctor Long in room 4 sees {}.",
        ),
        PEOPLE,
    ),
    Asked(
        "recursion",
        """
/** A folder, with what is in it. */
export interface Folder {
  name: string;
  folders: Folder[];
}
""",
        "Folder",
        (
            "Where do I keep pictures of {}?",
            "Make folders for a story about {}.",
            "Sort my notes about {}.",
            "A folder called {}, with two empty ones in it.",
            "Show the tree of {}.",
        ),
        ANIMALS,
    ),
    Asked(
        "root array",
        """
interface Task {
  what: string;
  done: boolean;
  priority: "low" | "high";
}

export type Tasks = Task[];
""",
        "Tasks",
        (
            "What does {} have to do today?",
            "{} must wash the car and buy milk, soon.",
            "A list of things to do for {}",
            "{} has nothing to do.",
            "{} has fed the cat. What is left?",
        ),
        PEOPLE,
    ),
    Asked(
        "root union",
        """
export type Answer =
  | { found: true; answer: string; sources: string[] }
  | { found: false; reason: string }
  | string
  | null;
""",
        "Answer",
        (
            "What does {} eat?",
            "Can {} swim?",
            "Where does {} sleep?",
            "Is {} bigger than a house?",
            "Why does {} have ears?",
        ),
        ANIMALS,
    ),
    Asked(
        "integers",
        """
export interface Order {
  /** @asType integer
   * @minimum 1 */
  quantity: number;
  /** In cents. */
  total: bigint;
  size: 1 | 2 | 3;
  /** @asType integer
   * @multipleOf 5
   * @minimum 0
   * @maximum 50 */
  discount: number;
  express: false;
}
""",
        "Order",
        (
            "I would like to order {}.",
            "Send me three of {}, size 2.",
            "How much is {}?",
            "{}: 2 pieces, 10 percent off",
            "Cancel {} and order it once more.",
        ),
        THINGS,
    ),
    Asked(
        "mutual recursion",
        """
export type Expression = number | Sum;

interface Sum {
  operator: "+" | "-";
  left: Expression;
  right: Expression;
}
""",
        "Expression",
        (
            "What is 2 + {}?",
            "Write {} - 1 as a tree.",
            "Add {} and 3, then take away 4.",
            "{} apples and 5 pears: how many?",
            "Parse: (1 + {}) - 2",
        ),
        ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10"),
    ),
    Asked(
        "generics",
        """
interface Page<T> {
  items: T[];
  total: number;
  next: string | null;
}

interface User { id: number; name: string; email: string; admin: boolean }

export type Users = Page<Pick<User, "id" | "name"> & Partial<Omit<User, "id" | "name">>>;
""",
        "Users",
        (
            "Who is called {}?",
            "Find the user {}.",
            "{} is user 7 and no admin.",
            "List everybody whose name begins like {}.",
            "Show the first page of users, {} among them.",
        ),
        PEOPLE,
    ),
    Asked(
        "list of unions",
        """
interface Text { type: "text"; text: string }
interface Image { type: "image"; url: string; alt?: string }
interface Call { type: "call"; tool: string; arguments: Record<string, string | number | boolean> }

export interface Message {
  role: "user" | "assistant";
  parts: (Text | Image | Call)[];
}
""",
        "Message",
        (
            "Show me a picture of {}.",
            "Tell me about {}.",
            "Call the tool that looks for {}.",
            "I saw {} in the garden.",
            "Can you draw {}?",
        ),
        ANIMALS,
    ),
    Asked(
        "extends",
        """
interface Base {
  readonly id: number;
  created: string;
}

interface Named extends Base { name: string; aliases?: string[] }

/** What was on a bill. */
export interface Product extends Named {
  price: { amount: number; currency: "EUR" | "USD" | "GBP" };
  size?: [width: number, height: number, depth?: number];
  "in-stock": boolean;
  details: Record<string, string | null>;
}
""",
        "Product",
        (
            "Describe {} for a shop.",
            "{} costs 12 dollars.",
            "We sold {} yesterday.",
            "Do you have {}?",
            "{}: 20 x 30 cm, in stock, 4.50 EUR",
        ),
        THINGS,
    ),
)

LONG_TYPE = "ShopOrder"
LONG_PART = "Shop"
"""Each of its types begins with this, which can be another word: then nothing of them was seen before."""

LONG_TEXT = """
/** What a shop keeps about an order, from the cart to the door. */

/** How far it has come. */
export enum ShopState {
  Open = "open",
  Paid = "paid",
  Sent = "sent",
  Returned = "returned",
}

type ShopCurrency = "EUR" | "USD" | "GBP" | "CHF";

/** An amount in the smallest unit of its currency. */
interface ShopMoney {
  /** @asType integer
   * @minimum 0 */
  amount: number;
  currency: ShopCurrency;
}

interface ShopAddress {
  name: string;
  street: string;
  /** As it is written in that country. */
  postcode: string;
  city: string;
  /** Two letters.
   * @pattern ^[A-Z]{2}$ */
  country: string;
  phone?: string;
}

/** One of several pages. */
interface ShopPage<T> {
  items: T[];
  next: string | null;
}

interface ShopItem {
  article: `SKU-${number}`;
  title: string;
  // Pieces, not boxes.
  quantity: number;
  price: ShopMoney;
  discount?: ShopMoney | null;
  options: Record<string, string | number | boolean>;
}

interface ShopCard { method: "card"; brand: "visa" | "mastercard" | "amex"; last4: string }
interface ShopTransfer { method: "transfer"; iban: string; bank?: string }
interface ShopVoucher { method: "voucher"; code: string; left: ShopMoney }

type ShopPayment = ShopCard | ShopTransfer | ShopVoucher;

interface ShopParcel {
  carrier: string;
  /** For the carrier's own page.
   * @format uri */
  tracking?: string;
  /** Width, height and depth in centimetres. */
  size: [number, number, number];
  sent: Date;
  signed?: boolean;
}

/** The order itself. */
export interface ShopOrder {
  /** @format uuid */
  id: string;
  created: Date;
  state: ShopState;
  customer: { id: number; email: string; language: "en" | "de" | "fr"; vip?: boolean };
  billing: ShopAddress;
  /** The same as billing where it is missing. */
  delivery?: Omit<ShopAddress, "phone">;
  items: ShopPage<ShopItem>;
  payments: ShopPayment[];
  parcels: ShopParcel[];
  total: ShopMoney;
  /** What the customer wrote.
   * @maxLength 500 */
  note: string | null;
  history: { at: Date; state: ShopState; by?: string }[];
}
"""
"""About 2 kB."""
