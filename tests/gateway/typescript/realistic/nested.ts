// What an assistant for travellers may answer.
export type Answer = Result<Plan> | Question | Failure;

interface Result<T, M = Meta> {
  kind: "result";
  value: T;
  meta: M;
  alternatives?: T[];
}

interface Question {
  kind: "question";
  text: string;
  choices?: { label: string; value: string | number }[];
  missing: ("dates" | "budget" | "destination" | "travellers")[];
}

interface Failure {
  kind: "failure";
  reason: "unsupported" | "unclear" | "unsafe";
  detail?: string | null;
}

interface Meta {
  model: string;
  confidence: number;
  sources: { title: string; url: string; accessed?: Date }[];
  tokens: { prompt: number; completion: number };
  [extra: string]: unknown;
}

interface Plan {
  title: string;
  days: Day[];
  travellers: { adults: number; children?: { age: number }[] };
  budget: { total: Money; perDay?: Money; flexible: boolean };
  packing: Record<string, string[]>;
  warnings: Array<Warning>;
}

interface Day {
  date: string;
  base: Place;
  steps: Step[];
  /** Between 0 and 10. */
  effort?: number;
}

type Step = Move | Visit | Stay;

type Move = {
  type: "move";
  by: Transport;
  from: Place;
  to: Place;
  departs?: string;
  cost?: Money;
};

type Visit = {
  type: "visit";
  place: Place;
  minutes: number;
  tickets?: { needed: true; url: string } | { needed: false };
  rating?: 1 | 2 | 3 | 4 | 5;
};

type Stay = {
  type: "stay";
  place: Place;
  nights: number;
  board: "none" | "breakfast" | "half" | "full";
  price: Money | null;
};

enum Transport {
  Train = "train",
  Bus = "bus",
  Ferry = "ferry",
  Plane = "plane",
}

interface Place {
  name: string;
  country: string;
  position?: [latitude: number, longitude: number];
  opening?: { [day: string]: { from: string; to: string } };
  near?: Place[];
}

type Money = { amount: number; currency: "EUR" | "USD" | "GBP" | "CHF" };

type Warning = Pick<Failure, "detail"> & { level: "info" | "serious" };
