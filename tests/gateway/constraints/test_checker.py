"""Answers as models give them, and what is said of each."""

import timeit

import pytest
from msgspec import Raw

from adapters.types import AnyJson, Constraint, Grammar, JsonSchema, OneOf, Regex
from gateway.constraints import Checker, ConstraintError, Verdict, describe

PERSON = JsonSchema(
    Raw(
        b'{"type": "object", "required": ["name", "age"], "additionalProperties": false,'
        b' "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0},'
        b' "born": {"type": "string", "format": "date"}}}'
    )
)
ANSWER = '{"name": "Ada", "age": 36}'


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        f" \n{ANSWER}\n",
        '{"age": 36.0, "name": "A\\u0064a \\ud83d\\ude00"}',
        '{"age": 12345678901234567890123456789012345678901234567890, "name": "é"}',
    ],
)
def test_a_good_answer_stays_as_it_is(text: str) -> None:
    assert Checker().check(PERSON, text) == Verdict(text)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{ANSWER}\n```",
        f"```\n{ANSWER}\n```",
        f"``` {ANSWER} ```",
        f"Sure {{here}} you are:\n```json\n{ANSWER}\n```\nAnything else?",
        f"Here you are: {ANSWER}",
        f"{ANSWER}\n\nAnything else?",
        f"```json\n{ANSWER}",
    ],
)
def test_what_surrounds_one_value_is_taken_away(text: str) -> None:
    assert Checker().check(PERSON, text) == Verdict(ANSWER)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"name": "Ada", "age": "x"}', 'at /age: "x" is not of type integer'),
        ('{"name": "Ada", "age": 1.5}', "at /age: 1.5 is not of type integer"),
        ('{"name": "Ada", "age": -1}', "at /age: -1 is less than 0"),
        ('{"name": "Ada", "age": 1, "born": "once"}', 'at /born: "once" is not of format date'),
        ('{"name": "Ada"}', '"age" is missing'),
        ('{"name": "Ada", "age": 1, "sex": 2}', '"sex" is not allowed'),
        ('{"name": "Ada", "age": 1, "age": 2}', 'the answer has the key "age" twice in one object'),
        ('{"name": "Ada", "age": NaN}', "the answer is not valid JSON: invalid character (byte 23)"),
        ('{"name": "Ada", "age": -Infinity}', "the answer is not valid JSON: invalid character (byte 24)"),
        ('{"name": "Ada", "age": 1e999}', "the answer holds a number that is out of range"),
        ("", "the answer is not valid JSON: it ends too early"),
        ("[]", "[] is not of type object"),
    ],
)
def test_the_problem_names_the_place(text: str, problem: str) -> None:
    verdict = Checker().check(PERSON, text)
    assert (verdict.text, verdict.problem) == (text, problem)
    if problem.startswith("at "):
        assert verdict.path == problem[3:].partition(":")[0]
    else:
        assert verdict.path == (None if problem.startswith("the answer") else "")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER[:-1],
        f"```json\n{ANSWER[:-1]}",
        f'{{"person": {ANSWER}',
        f'{{"person": {ANSWER}, oops}}',
        f"[{ANSWER}, ",
    ],
)
def test_what_breaks_off_is_not_mended(text: str) -> None:
    verdict = Checker().check(PERSON, text)
    assert verdict.text == text
    assert verdict.problem is not None


@pytest.mark.parametrize("text", [f"{ANSWER} {ANSWER}", f"```\n{ANSWER}\n```\n```\n{ANSWER}\n```"])
def test_of_two_values_none_is_chosen(text: str) -> None:
    assert Checker().check(PERSON, text).problem is not None


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_a_hundred_thousand_brackets(opening: str) -> None:
    for constraint in (PERSON, AnyJson()):
        verdict = Checker().check(constraint, opening * 100_000)
        assert verdict.problem == "the answer is JSON that is nested too deeply"


def test_long_values_are_cut() -> None:
    problem = Checker().check(PERSON, f'{{"name": "Ada", "age": "{"x" * 5000}"}}').problem
    assert problem == f'at /age: "{"x" * 58}… is not of type integer'


def test_any_json_is_an_object() -> None:
    checker = Checker()
    assert checker.check(AnyJson(), '{"a": [1]}') == Verdict('{"a": [1]}')
    assert checker.check(AnyJson(), "Yes: {}") == Verdict("{}")
    assert checker.check(AnyJson(), "[1]") == Verdict("[1]", "the answer is not a JSON object but [1]", "")
    assert checker.check(AnyJson(), '{"\\ud800": 1}').problem is not None


@pytest.mark.parametrize("text", ["yes", " yes\n", '"yes"', "'yes'.", "yes.", "```\nyes\n```"])
def test_a_choice_is_freed_of_what_surrounds_it(text: str) -> None:
    assert Checker().check(OneOf(("yes", "no")), text) == Verdict("yes")


@pytest.mark.parametrize("text", ["Yes", "yes no", "", "yes!", "maybe", "\ud800"])
def test_a_choice_is_not_guessed(text: str) -> None:
    verdict = Checker().check(OneOf(("yes", "no")), text)
    assert verdict.text == text
    assert verdict.problem is not None


def test_a_choice_may_itself_be_quoted() -> None:
    assert Checker().check(OneOf(('"yes".', "yes")), '"yes".') == Verdict('"yes".')


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((), "there is nothing to choose from: give at least one choice"),
        (("a", ""), "a choice is empty"),
        (("a", "b", "a"), 'a choice stands twice: "a"'),
    ],
)
def test_choices_that_are_none(choices: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        Checker().prepare(OneOf(choices))
    assert caught.value.message == message


def test_what_is_prepared_is_kept_and_bounded() -> None:
    checker = Checker(cache_size=3)
    first = checker.ready(PERSON)
    assert checker.ready(JsonSchema(PERSON.schema, name="other", strict=False)) is first
    for letter in "abc":
        checker.prepare(Regex(letter))
    assert len(checker.kept) == 3
    assert checker.ready(PERSON) is not first


def test_patterns_take_room() -> None:
    checker = Checker(cache_size=3)
    checker.prepare(Regex("a"))
    checker.prepare(JsonSchema(Raw(b'{"allOf": [{"pattern": "a"}, {"pattern": "b"}]}')))
    assert (len(checker.kept), checker.weight) == (1, 3)
    checker.prepare(JsonSchema(Raw(b'{"allOf": [{"pattern": "a"}, {"pattern": "b"}, {"pattern": "c"}]}')))
    assert (len(checker.kept), checker.weight) == (0, 0)


def test_constraints_of_different_kinds_are_told_apart() -> None:
    checker = Checker()
    assert checker.check(Regex("a+"), "aa").problem is None
    assert checker.check(OneOf(("a+",)), "aa").problem is not None
    assert checker.check(OneOf(("a", "b")), "b").problem is None
    assert checker.check(OneOf(("ab",)), "b").problem is not None


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        (PERSON, bytes(PERSON.schema).decode()),
        (JsonSchema(Raw(b"{}"), description="a person"), "a person"),
        (AnyJson(), "JSON object"),
        (Regex("[0-9]+"), "[0-9]+"),
        (OneOf(("yes", "no")), "yes\nno"),
        (Grammar('root ::= "a"'), 'root ::= "a"'),
    ],
)
def test_the_description_holds_the_constraint(constraint: Constraint, told: str) -> None:
    assert told in describe(constraint)


def test_a_kept_constraint_costs_next_to_nothing() -> None:
    """About 4 us; the bound is loose, for a busy machine."""
    checker = Checker()
    text = f'{{"name": "{"x" * 170}", "age": 36}}'
    assert min(timeit.repeat(lambda: checker.check(PERSON, text), number=100, repeat=10)) / 100 < 100e-6
