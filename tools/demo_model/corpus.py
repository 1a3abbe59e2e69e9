"""The text the demo model learns, all made by code: bare stories, bare questions, and chats.

A document is a tuple of pieces, in turns what is given to the model and what it shall say. They are tokenised
one by one, because a completion always starts on a token boundary: the prompt `...old?` and the answer
`{"age": 7}` must not share a token in training either.
"""

from collections.abc import Iterator
from random import Random

from tools.demo_model.questions import Ask, Question
from tools.demo_model.stories import story, wish

Document = tuple[str, ...]

SYSTEMS = ("You are a helpful assistant.", "Answer briefly.", "You are a tiny demo model.")


def raw(rng: Random, asked: Question) -> Document:
    """A bare question and its answer, mostly with a space between.

    At times the prompt itself ends in a space or a line break; and before JSON there may be nothing, because a
    decoder held to a schema begins with the brace.
    """
    prompt, answer = asked
    chance = rng.random()
    if chance < 0.15:
        return prompt + rng.choice(("\n", " ")), answer
    if answer.startswith("{") and chance < 0.45:
        return prompt, answer
    return prompt, f" {answer}"


def chat(rng: Random, turns: list[Question]) -> Document:
    given = f"<|system|>{rng.choice(SYSTEMS)}<|end|>" if rng.random() < 0.2 else ""
    pieces: list[str] = []
    for asked, answer in turns:
        pieces += (f"{given}<|user|>{asked}<|end|><|assistant|>", f"{answer}<|end|>")
        given = ""
    return tuple(pieces)


def document(rng: Random, ask: Ask) -> Document:
    chance = rng.random()
    if chance < 0.12:
        return "", story(rng)
    if chance < 0.70:
        return raw(rng, ask(rng))
    if chance < 0.73:
        return raw(rng, wish(rng))
    if chance < 0.77:
        return chat(rng, [wish(rng)])
    return chat(rng, [ask(rng) for _ in range(rng.randint(1, 6))])


def documents(seed: int, count: int, ask: Ask) -> Iterator[Document]:
    rng = Random(seed)
    return (document(rng, ask) for _ in range(count))
