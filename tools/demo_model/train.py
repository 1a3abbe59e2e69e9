"""Training with fixed seeds and a fixed number of steps: the same machine and torch give the same weights.

The first lesson reads everything, questions too. The second counts only what the model itself shall say, so
that a bare prompt is answered, not continued.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tools.demo_model.model import Llama

IGNORED = -100  # cross_entropy's mark of a target that does not count


@dataclass(frozen=True)
class Lesson:
    steps: int
    peak: float  # learning rate after the climb
    answers_only: bool
    seed: int = 20
    tokens: int = 3072  # in each step, as many short cuts or a few long ones
    short: int = 256
    long: int = 1024  # the whole context, so that its far places are trained as well
    long_every: int = 8
    floor: float = 0.03  # share of the peak left at the end
    warm_up: int = 50
    decay: float = 0.05


FIRST = Lesson(steps=2200, peak=4e-3, answers_only=False)
SECOND = Lesson(steps=1100, peak=2e-3, answers_only=True)


@dataclass(frozen=True)
class Text:
    """One row of ids, and which of them the model shall say."""

    ids: Tensor
    said: Tensor


def rate(lesson: Lesson, step: int) -> float:
    """Learning rate as a share of the peak: a short climb, then half a cosine."""
    if step < lesson.warm_up:
        return (step + 1) / lesson.warm_up
    done = (step - lesson.warm_up) / (lesson.steps - lesson.warm_up)
    return lesson.floor + (1 - lesson.floor) * (1 + math.cos(math.pi * done)) / 2


def batch(text: Text, lesson: Lesson, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random cuts of the text, and for each place the token that follows it, or `IGNORED`."""
    length = lesson.long if step % lesson.long_every == 0 else lesson.short
    starts = torch.randint(len(text.ids) - length - 1, (lesson.tokens // length,), generator=generator)
    places = starts[:, None] + torch.arange(length + 1)
    cuts = text.ids[places]
    targets = cuts[:, 1:]
    if lesson.answers_only:
        targets = targets.masked_fill(~text.said[places[:, 1:]], IGNORED)
    return cuts[:, :-1], targets


def train(model: Llama, text: Text, lesson: Lesson, report: Callable[[int, float], None]) -> None:
    """`report` is told each step and its loss."""
    torch.set_num_threads(1)  # more would change the order of sums, and with it the weights
    generator = torch.Generator().manual_seed(lesson.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lesson.peak, (0.9, 0.95), weight_decay=lesson.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(lesson, step))
    for step in range(lesson.steps):
        inputs, targets = batch(text, lesson, step, generator)
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        report(step, loss.item())
