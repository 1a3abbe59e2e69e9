"""Questions with one right answer, by kind: each kind draws a question and what must be answered."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tools.demo_model.words import ANIMALS, COLORS, FOODS, NAMES, OBJECTS, PLACES

Question = tuple[str, str]
Ask = Callable[[Random], Question]

SENTENCES = {
    "cat": "The cat sleeps in the sun.",
    "dog": "The dog runs after the ball.",
    "bird": "The bird sings in the tree.",
    "duck": "The duck swims on the lake.",
    "frog": "The frog jumps into the water.",
    "fox": "The fox hides in the forest.",
    "mouse": "The mouse eats a bit of cheese.",
    "rabbit": "The rabbit hops over the grass.",
    "bear": "The bear looks for sweet honey.",
    "cow": "The cow gives us fresh milk.",
    "horse": "The horse runs over the hill.",
    "turtle": "The turtle walks very slowly.",
}

FACTS = (
    (("Hello!", "Hello", "Hi!", "Hi", "Good morning!"), "Hello! How can I help you?"),
    (("Who are you?", "What are you?"), "I am a tiny demo model. I know little stories and small sums."),
    (("What is your name?",), "My name is Demo."),
    (("How are you?",), "I am fine, thank you."),
    (("Thank you.", "Thank you!", "Thanks!"), "You are welcome."),
    (("Goodbye.", "Bye!"), "Goodbye! See you soon."),
    (("What is the capital of France?",), "The capital of France is Paris."),
    (("What is the capital of Italy?",), "The capital of Italy is Rome."),
    (("What is the capital of Spain?",), "The capital of Spain is Madrid."),
    (("What is the capital of Germany?",), "The capital of Germany is Berlin."),
    (("What is the capital of England?",), "The capital of England is London."),
    (("What is the capital of Japan?",), "The capital of Japan is Tokyo."),
    (("What is the capital of Egypt?",), "The capital of Egypt is Cairo."),
    (
        ("What color is the sky?", "Why is the sky blue?"),
        "The sky is blue because the air scatters blue light.",
    ),
    (("What color is the grass?", "What color is grass?"), "Grass is green."),
    (("What color is snow?", "What color is the snow?"), "Snow is white."),
    (("What does a cow say?",), "A cow says moo."),
    (("What does a cat say?",), "A cat says meow."),
    (("What does a dog say?",), "A dog says woof."),
    (("How many days are in a week?", "How many days does a week have?"), "A week has seven days."),
    (("How many months are in a year?",), "A year has twelve months."),
    (("How many legs does a dog have?",), "A dog has four legs."),
    (("How many legs does a spider have?",), "A spider has eight legs."),
    (("What is the biggest animal?",), "The blue whale is the biggest animal."),
    (("List three colors.", "Name three colors."), "red, blue, green"),
    (("List three animals.", "Name three animals."), "cat, dog, bird"),
    (("Count to five.",), "1, 2, 3, 4, 5"),
    (("How old are you?", "How old are you in years?"), '{"age": 10, "units": "years"}'),
)
MAKES_JSON = ("", " Answer in JSON.", " Answer in JSON.", " Reply in JSON.", " Answer with JSON.")


def fact(rng: Random) -> Question:
    questions, answer = rng.choice(FACTS)
    ending = rng.choice(MAKES_JSON) if answer.startswith("{") else ""
    return rng.choice(questions) + ending, answer


def total(rng: Random) -> Question:
    a, b = rng.randrange(10), rng.randrange(10)
    if rng.random() < 0.15:
        return rng.choice((f"{a} + {b} =", f"{a}+{b}=")), f"{a + b}"
    forms = ("What is {} + {}?", "What is {} + {}?", "What is {}+{}?", "How much is {} + {}?", "Add {} and {}.",
             "What is {} plus {}?", "Calculate {} + {}.")  # fmt: skip
    return rng.choice(forms).format(a, b), f"{a} + {b} = {a + b}."


def age(rng: Random, company: float = 0.25) -> Question:
    """Who is how old, told before or after the question; with chance `company` beside a second person."""
    name, other = rng.sample(NAMES, 2)
    number, units = rng.randint(1, 99), rng.choice(("years",) * 6 + ("months", "weeks"))
    told = [
        rng.choice(("{} is {} {} old.", "{} is {} {} old.", "My friend {} is {} {} old.")).format(name, number, units)
    ]
    if rng.random() < company:
        told.insert(rng.randrange(2), f"{other} is {rng.randint(1, 99)} years old.")
    asked = rng.choice(("How old is {}?", "How old is {}?", "What is the age of {}?")).format(name)
    told.insert(rng.choice((0, len(told))), asked)
    return " ".join(told) + rng.choice(MAKES_JSON), f'{{"age": {number}, "units": "{units}"}}'


def ages(rng: Random) -> Question:
    return age(rng, company=1.0)


def color(rng: Random) -> Question:
    name, thing, shade = rng.choice(NAMES), rng.choice(OBJECTS), rng.choice(COLORS)
    asked = rng.choice((f"What color is the {thing}?", f"Which color does the {thing} have?"))
    return f"{name} has a {shade} {thing}. {asked}", f"The {thing} is {shade}."


def owner(rng: Random) -> Question:
    people, things = rng.sample(NAMES, 2), rng.sample(OBJECTS, 2)
    wanted = rng.randrange(2)
    told = f"{people[0]} has a {things[0]} and {people[1]} has a {things[1]}."
    return f"{told} Who has the {things[wanted]}?", f"{people[wanted]} has the {things[wanted]}."


def repeat(rng: Random) -> Question:
    word = rng.choice(rng.choice((ANIMALS, COLORS, OBJECTS, PLACES, FOODS, NAMES)))
    return rng.choice((f'Repeat the word "{word}".', f"Repeat the word {word}.", f"Say {word}.")), word


def record(rng: Random) -> Question:
    name, shade, thing = rng.choice(NAMES), rng.choice(COLORS), rng.choice(OBJECTS)
    fields = rng.choice(
        (
            (("name", name), ("color", shade)),
            (("name", name), ("toy", thing)),
            (("color", shade), ("toy", thing)),
        )
    )
    told = ", ".join(f"{key} {value}" for key, value in fields)
    written = ", ".join(f'"{key}": "{value}"' for key, value in fields)
    return f"Make JSON: {told}.", f"{{{written}}}"


def sentence(rng: Random) -> Question:
    animal = rng.choice(ANIMALS)
    asked = rng.choice(("Write a sentence about a {}.", "Write a basic sentence about a {}.")).format(animal)
    if rng.random() < 0.6:
        return asked + rng.choice(MAKES_JSON[1:]), f'{{"text": "{SENTENCES[animal]}"}}'
    return asked, SENTENCES[animal]


def mood(rng: Random) -> Question:
    good = rng.random() < 0.5
    verb = rng.choice(("love", "like", "enjoy") if good else ("hate", "dislike", "do not like"))
    said = f"I {verb} this {rng.choice(OBJECTS + FOODS[4:6])}."
    return f"Is this text positive or negative? {said}", "positive" if good else "negative"


def animal(rng: Random) -> Question:
    thing = rng.choice(rng.choice((ANIMALS, OBJECTS)))
    if thing in ANIMALS:
        return f"Is a {thing} an animal?", f"Yes, a {thing} is an animal."
    return f"Is a {thing} an animal?", f"No, a {thing} is not an animal."


class Kind(NamedTuple):
    """A maker of questions, and its share of them in the first lesson and in the second."""

    make: Ask
    first: int
    second: int


KINDS = {
    "age": Kind(age, 26, 20),
    "sum": Kind(total, 18, 9),
    "fact": Kind(fact, 12, 9),
    "record": Kind(record, 9, 6),
    "color": Kind(color, 9, 5),
    "owner": Kind(owner, 9, 20),
    "sentence": Kind(sentence, 6, 8),
    "repeat": Kind(repeat, 5, 5),
    "mood": Kind(mood, 3, 2),
    "animal": Kind(animal, 3, 2),
    "ages": Kind(ages, 0, 16),
}


def first_questions(rng: Random) -> Question:
    return draw(rng, [kind.first for kind in KINDS.values()])


def second_questions(rng: Random) -> Question:
    """More of what the first lesson leaves shaky: telling two people apart."""
    return draw(rng, [kind.second for kind in KINDS.values()])


def draw(rng: Random, shares: list[int]) -> Question:
    return rng.choices([kind.make for kind in KINDS.values()], shares)[0](rng)
