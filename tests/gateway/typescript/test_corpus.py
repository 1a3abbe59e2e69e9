"""What TypeScript itself says our texts mean. The answers are ts-json-schema-generator's, made by
`python -m tools.typescript_oracle`; where we mean something else, it stands here with the reason."""

import json
from pathlib import Path

import pytest

from gateway.typescript import schema_of
from tests.gateway.typescript.sameness import Schema, same

CORPUS = Path(__file__).parent / "corpus"
ANSWERS: dict[str, dict[str, Schema]] = {path.stem: json.loads(path.read_text()) for path in CORPUS.glob("*.json")}
CASES = [(file, name) for file, answers in sorted(ANSWERS.items()) for name in answers]

ON_PURPOSE = {
    ("differences", "EmptyLiteral"): "'{}' is any object in TypeScript; the generator allows only an empty one",
    ("differences", "EmptyMember"): "'{}' is any object in TypeScript; the generator allows only an empty one",
    ("differences", "Big"): "a bigint has no fraction",
    ("differences", "Id"): "the generator allows any text in place of a template",
    ("differences", "RequiredMembers"): "the generator leaves optional what Required makes required",
    ("differences", "RequiredAlready"): "the generator leaves optional what Required makes required",
    ("differences", "OneLine"): "a comment counts also where it stands on the same line as what is before it",
    ("differences", "ReadonlyList"): "the generator makes an object of a readonly list",
    ("differences", "TwoParts"): "the generator forgets the second part of an interface",
    ("differences", "ObjectAnd"): "'object' adds nothing to an object: no other properties than declared",
    ("differences", "Integral"): "the generator puts integer in place of null, too",
    ("differences", "OptionalNamed"): "the generator requires optional elements that have names",
    ("differences", "PartialUnion"): "Partial of a union is a union of Partials; the generator mixes the members",
}


def ours(file: str, name: str) -> Schema:
    schema: Schema = json.loads(bytes(schema_of((CORPUS / f"{file}.ts").read_text(), name)))
    return schema


def test_the_corpus_is_whole() -> None:
    assert {path.stem for path in CORPUS.glob("*.ts")} == ANSWERS.keys()
    assert len(CASES) > 250


@pytest.mark.parametrize(("file", "name"), [case for case in CASES if case not in ON_PURPOSE])
def test_means_what_typescript_means(file: str, name: str) -> None:
    assert same(ours(file, name), ANSWERS[file][name])


@pytest.mark.parametrize(("file", "name"), ON_PURPOSE)
def test_differs_on_purpose(file: str, name: str) -> None:
    """So that a difference that is gone is not explained any longer."""
    assert not same(ours(file, name), ANSWERS[file][name])
