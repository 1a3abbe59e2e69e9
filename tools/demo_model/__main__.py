"""`python -m tools.demo_model`: makes the demo model from nothing but code, writes it, and measures it."""

import argparse
import hashlib
import platform
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from tokenizers import Tokenizer

from gateway.embedded import MODEL_FILE
from tools.demo_model.corpus import Document, documents
from tools.demo_model.export import write_gguf
from tools.demo_model.measure import Score, measured, story
from tools.demo_model.model import Llama, Shape
from tools.demo_model.questions import first_questions, second_questions
from tools.demo_model.tokenizer import encode, train_tokenizer
from tools.demo_model.train import FIRST, SECOND, Lesson, Text, train

FOR_TOKENIZER = 20_000  # documents
SEED = 20
LIMIT = 1_200_000  # bytes: the file is checked in and shipped
ASKED = 200  # questions of each kind


def main() -> None:
    options = parse()
    console = Console(width=100, highlight=False)
    corpora = (
        list(documents(1, 100_000, first_questions)),
        list(documents(2, 60_000, second_questions)),
    )
    model, tokenizer = made(corpora, options.keep, console)
    write_gguf(model, tokenizer, options.output)
    describe(model, options.output, console)
    console.print(table(measured(options.output, [*corpora[0], *corpora[1]], options.asked)))
    console.print(f"Once upon a time{story(options.output).content}", markup=False)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tools.demo_model", description=__doc__)
    parser.add_argument("--output", type=Path, default=MODEL_FILE, help="the GGUF file to write")
    parser.add_argument("--keep", type=Path, help="folder for the weights; trained only if they are not there yet")
    parser.add_argument("--asked", type=int, default=ASKED, help="questions of each kind, to measure with")
    return parser.parse_args()


def made(
    corpora: tuple[list[Document], list[Document]], keep: Path | None, console: Console
) -> tuple[Llama, Tokenizer]:
    if keep is not None and (keep / "weights.pt").exists():
        model = Llama(Shape())
        model.load_state_dict(torch.load(keep / "weights.pt", weights_only=True))
        return model, Tokenizer.from_file(str(keep / "tokenizer.json"))
    tokenizer = train_tokenizer(islice(corpora[0], FOR_TOKENIZER))
    torch.manual_seed(SEED)
    model = Llama(Shape())
    for corpus, lesson in zip(corpora, (FIRST, SECOND), strict=True):
        ids, said = encode(tokenizer, corpus)
        teach(model, Text(torch.tensor(ids), torch.tensor(said)), lesson, console)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), keep / "weights.pt")
        tokenizer.save(str(keep / "tokenizer.json"))
    return model, tokenizer


def teach(model: Llama, text: Text, lesson: Lesson, console: Console) -> None:
    losses: list[float] = []
    columns = TextColumn("loss {task.fields[loss]:.3f}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=lesson.steps, loss=0.0)

        def report(step: int, loss: float) -> None:
            losses.append(loss)
            progress.update(task, completed=step + 1, loss=loss)

        train(model, text, lesson, report)
    last = losses[-100:]
    counted = "answers" if lesson.answers_only else "all"
    console.print(f"{lesson.steps} steps of {lesson.tokens} tokens, of a text of {len(text.ids):,}; {counted} counted")
    console.print(f"loss, mean of the last {len(last)} steps: {sum(last) / len(last):.3f}")


def describe(model: Llama, path: Path, console: Console) -> None:
    content = path.read_bytes()
    if len(content) >= LIMIT:
        raise SystemExit(f"{path} has {len(content):,} bytes; the limit is {LIMIT:,}")
    console.print(f"{sum(weight.numel() for weight in model.parameters()):,} weights, {len(content):,} bytes")
    digest = hashlib.sha256(content).hexdigest()
    path.with_suffix(".gguf.sha256").write_text(f"{digest}  {path.name}\n")
    console.print(f"sha256 {digest}")
    console.print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")


def table(scores: dict[str, dict[str, Score]]) -> Table:
    """One row for each kind; right answers of all questions, and of those not met in training."""
    ways = list(next(iter(scores.values())))
    shown = Table("kind", *ways, *(f"{way}, unseen" for way in ways), title="exact answers, greedy, q8_0, llama.cpp")
    for kind, by_way in scores.items():
        every = [f"{score.right}/{score.asked}" for score in by_way.values()]
        unseen = [f"{score.unseen_right}/{score.unseen}" for score in by_way.values()]
        shown.add_row(kind, *every, *unseen)
    return shown


if __name__ == "__main__":
    main()
