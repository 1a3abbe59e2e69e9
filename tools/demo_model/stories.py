"""Stories from templates: someone, a toy, a place, one of four plots, a moral and an end."""

from random import Random

from tools.demo_model.questions import Question
from tools.demo_model.words import ANIMALS, COLORS, FEELINGS, FOODS, GIRLS, NAMES, OBJECTS, PLACES, SKILLS

WEATHER = ("The sun was warm.", "It was a windy day.", "The sky was blue.", "It had rained all night.", "")
MORALS = ("It is good to share.", "It is good to help a friend.", "Never give up.", "Be kind to everyone.")
ENDINGS = (
    "They lived happily ever after.",
    "And they all went home and had dinner together.",
    "From that day on, they were best friends.",
    "It was the best day ever.",
)
OPENINGS = ("Once upon a time,",) * 4 + ("Long ago,", "One morning,")


def lost_thing(rng: Random, name: str, she: str, her: str, thing: str) -> str:
    finder = rng.choice(ANIMALS)
    where = rng.choice(("under a tree", "behind a rock", "in the tall grass", "near the water"))
    return (
        f"One day, {name} could not find the {thing}. {she} looked and looked, but it was gone. {name} was very sad. "
        f'Then a {finder} came by. "What is wrong?" asked the {finder}. "I lost my {thing}," said {name}. '
        f'The {finder} helped {her} look for it, and they found the {thing} {where}. "Thank you!" said {name}.'
    )


def hungry_animal(rng: Random, name: str, she: str, her: str, thing: str) -> str:
    guest, food = rng.choice(ANIMALS), rng.choice(FOODS)
    return (
        f'One day, {name} saw a {guest} who was crying. "Why are you crying?" asked {name}. "I am hungry and I have no '
        f'food," said the {guest}. {name} gave the {guest} some {food}. "Thank you, you are very kind," said the '
        f"{guest}. The {guest} smiled and they played with the {thing} together."
    )


def new_skill(rng: Random, name: str, she: str, her: str, thing: str) -> str:
    teacher, skill = rng.choice(ANIMALS), rng.choice(SKILLS)
    return (
        f'{name} wanted to learn to {skill}. "It is too hard for me," said {name}. A wise old {teacher} heard {her}. '
        f'"Try again every day," said the {teacher}. {name} tried again and again. At last, {name} could {skill}! '
        f"{she} showed the {thing} to the {teacher}, and they were both proud."
    )


def night_noise(rng: Random, name: str, she: str, her: str, thing: str) -> str:
    visitor = rng.choice(ANIMALS)
    return (
        f"One night, {name} heard a strange noise outside. {she} was scared and held the {thing} tight. "
        f"Then {name} was brave and opened the door. It was only a small {visitor}! "
        f'"I am cold," said the {visitor}. {name} let the {visitor} come in, and they slept by the fire.'
    )


PLOTS = (lost_thing, hungry_animal, new_skill, night_noise)


def story(rng: Random, about: str | None = None) -> str:
    """A story of a child, or of the animal it was asked to be about."""
    name, thing, place = rng.choice(NAMES), rng.choice(OBJECTS), rng.choice(PLACES)
    who, she, her, hers = ("girl", "She", "her", "her") if name in GIRLS else ("boy", "He", "him", "his")
    if about is not None:
        who = about
    opening = (
        f"{rng.choice(OPENINGS)} a {rng.choice(('little', 'young', rng.choice(FEELINGS)))} {who} named {name} "
        f"lived near the {place}. {name} loved to play with {hers} {rng.choice(COLORS)} {thing}."
    )
    plot = rng.choice(PLOTS)(rng, name, she, her, thing)
    parts = (opening, rng.choice(WEATHER), plot, rng.choice(MORALS), rng.choice(ENDINGS))
    return " ".join(part for part in parts if part)


def wish(rng: Random) -> Question:
    """A story on request; nothing checks its words."""
    ask = rng.choice(("Tell me a story", "Tell a story", "Write a story", "Write a short story"))
    if rng.random() < 0.4:
        return f"{ask}.", story(rng)
    about = rng.choice(ANIMALS)
    return f"{ask} about a {about}.", story(rng, about)
