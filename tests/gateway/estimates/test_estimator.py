"""Bounds hold from the first call on, come down with reports, and what is likely is what was reported."""

import time
from collections.abc import Callable
from math import ceil
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.types import Call, Chat, Grammar, JsonSchema, OneOf, Params, Prompts, Regex
from gateway.estimates import Estimator, output_bound
from gateway.estimates.calibration import Calibration, place_of
from gateway.estimates.size import size_of

PROSE = "the little fox sat by the river and told a very long story about bells and berries "
PICTURE = "iVBORw0KGgo" * 3000


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def chat(content: Any, **more: Any) -> Call:
    return Call("m", Chat(raw([{"role": "user", "content": content}])), **more)


def report(estimator: Estimator, call: Call, input: int, output: int = 5, **more: int) -> None:
    estimator.learn(estimator.before(call), input, output, **more)


def parts(*items: Any) -> Call:
    return chat([{"type": "text", "text": "What is this?"}, *items])


@given(st.text(max_size=300), st.integers(1, 12))
def test_at_first_no_tokenizer_makes_more(text: str, messages: int) -> None:
    """A token for each byte, 8 for each message and 32 for the template: the most that there can be."""
    turns = [{"role": "user", "content": text}] * messages
    most = messages * (len(text.encode(errors="replace")) + 4) + 30
    assert Estimator().before(Call("m", Chat(raw(turns)))).input >= most
    assert Estimator().before(Call("m", text)).input >= len(text.encode(errors="replace")) + 36
    assert Estimator(template=False).before(Call("m", text)).input <= len(text.encode(errors="replace")) + 3


LENGTHS = (1, 2, 3, 4, 5, 6)


def divided(random: Random, weights: list[int], size: int) -> int:
    """How many tokens a made-up tokenizer makes of so many bytes: pieces of 1 to 6 bytes."""
    tokens = 0
    while size > 0:
        size -= random.choices(LENGTHS, weights)[0]
        tokens += 1
    return tokens


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 9), min_size=6, max_size=6),
    st.integers(0, 40),
    st.integers(8, 12),
)
def test_bounds_hold_while_texts_stay_of_one_sort(seed: int, weights: list[int], frame: int, octaves: int) -> None:
    """Also for sizes that were not seen: beyond them, and between."""
    calibration, random = Calibration(), Random(seed)
    for count in range(120):
        size = int(2 ** random.uniform(5, octaves if count >= 60 else octaves - 2))
        tokens = frame + divided(random, weights, size)
        cold = size + 42
        bound = calibration.bound(size, cold)
        assert tokens <= bound <= max(cold, 40)
        calibration.learn(size, tokens, cold)
    largest = 2**octaves
    assert calibration.bound(largest, largest + 42) >= frame + divided(random, weights, largest)


def test_a_bound_comes_down_and_goes_up_at_once() -> None:
    estimator, call = Estimator(), chat(PROSE * 10)
    size = size_of(call).extent
    first = estimator.before(call).input
    assert first == size + 40
    for _ in range(100):
        report(estimator, call, size // 4)
    settled = estimator.before(call).input
    assert size / 4 < settled < 1.35 * size / 4
    report(estimator, call, size)
    assert estimator.before(call).input >= size
    report(estimator, call, 10 * size)
    assert estimator.before(call).input >= 10 * size
    for _ in range(6000):
        report(estimator, call, size // 4)
    assert estimator.before(call).input < 1.5 * size / 4


def test_a_dear_sort_of_text_does_not_make_the_others_dear() -> None:
    estimator = Estimator()
    prose, digits, chinese = chat(PROSE * 10), chat("8" * 900), chat("你好世界" * 80)
    for _ in range(60):
        report(estimator, prose, 220)
        report(estimator, digits, 900)
        report(estimator, chinese, 700)
    assert estimator.before(prose).input < 300
    assert estimator.before(digits).input >= 900 and estimator.before(chinese).input >= 700
    escaped = Call("m", Chat(msgspec.Raw(b'[{"role":"user","content":"' + b"\\u4f60" * 100 + b'"}]')))
    assert estimator.before(escaped).input == size_of(escaped).extent + 40


@pytest.mark.parametrize("said", [(0, 0), (1, 1), (7, 3), (1000, 0), (123_456, 789)])
def test_a_provider_that_always_says_the_same(said: tuple[int, int]) -> None:
    estimator = Estimator()
    calls = [chat("x" * (1 + 37 * i % 900)) for i in range(40)]
    for call in calls:
        report(estimator, call, *said)
    for call in [*calls, chat("y" * 5000)]:
        guess = estimator.before(call)
        assert guess.input == said[0] and estimator.likely(guess) == said


def test_one_prompt_again_and_again() -> None:
    estimator, call = Estimator(), chat("hi")
    for _ in range(20):
        report(estimator, call, 10, 20)
    assert 10 <= estimator.before(call).input <= 14
    assert estimator.likely(estimator.before(call)) == (10, 20)


def test_what_is_likely_follows_a_change() -> None:
    estimator = Estimator()
    for tokens in [12] * 50 + [40] * 120:
        report(estimator, chat("hello"), tokens, tokens // 2)
    assert estimator.likely(estimator.before(chat("hello"))) == (40, 20)


def test_what_is_likely_of_sizes_between_and_beyond() -> None:
    estimator = Estimator()
    for _ in range(20):
        for length in (10, 100, 1000):
            report(estimator, chat(PROSE * length), 9 + 20 * length)
    for length in (5, 30, 300, 3000):
        likely, _ = estimator.likely(estimator.before(chat(PROSE * length)))
        assert 0.7 * (9 + 20 * length) <= likely <= (2.2 if length == 5 else 1.3) * (9 + 20 * length)


def test_before_any_report() -> None:
    estimator = Estimator()
    assert estimator.likely(estimator.before(chat(PROSE, params=Params(max_tokens=9, n=2)))) == (
        ceil(len(PROSE) / 4),
        18,
    )
    assert estimator.likely(estimator.before(chat("")))[1] == 256


def test_likely_answers_keep_the_limit_unless_the_provider_does_not() -> None:
    estimator = Estimator()
    short = chat("hi", params=Params(max_tokens=5))
    for _ in range(20):
        report(estimator, chat("hi"), 10, 40)
    assert estimator.likely(estimator.before(short))[1] == 5
    report(estimator, short, 10, 40)
    assert estimator.likely(estimator.before(short))[1] == 40


def test_likely_answers_of_several_choices() -> None:
    estimator = Estimator()
    two, forty = chat("hi", params=Params(n=2)), chat("hi", params=Params(n=40))
    for _ in range(10):
        report(estimator, chat("hi"), 10, 7)
        report(estimator, two, 10, 7)
    assert estimator.likely(estimator.before(chat("hi")))[1] == 7
    assert estimator.likely(estimator.before(two))[1] == 7
    assert 40 * 3 <= estimator.likely(estimator.before(forty))[1] <= 40 * 7
    assert estimator.before(Call("m", Prompts(("a", "b")), Params(n=2, best_of=5))).choices == 10


def test_pictures_are_not_counted_by_their_bytes() -> None:
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    away = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    sound = {"type": "input_audio", "input_audio": {"data": "UklGR" * 100_000, "format": "wav"}}
    document = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{'JVBERi' * 10_000}"}}
    assert [size_of(parts(part)).media for part in (url, away, sound, document)] == [2000, 2000, 2000, 15_000]
    assert size_of(parts(sound, sound)).media == 4000
    assert all(size_of(parts(part)).bytes < 250 for part in (url, away, sound, document))
    assert 2000 < Estimator().before(parts(url)).input < 2300
    spaced = Call("m", Chat(msgspec.Raw(msgspec.json.format(raw([{"role": "user", "content": [url]}])))))
    assert size_of(spaced).media == 2000


@pytest.mark.parametrize("spaced", [True, False])
def test_pictures_are_found_behind_many_brackets(spaced: bool) -> None:
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    turns = [{"role": "user", "content": "a[0] = b[1]; " * 500}, {"role": "user", "content": [url]}]
    encoded = msgspec.json.encode(turns)
    if spaced:
        encoded = encoded.replace(b'":', b'": ')
    size = size_of(Call("m", Chat(msgspec.Raw(encoded))))
    assert size.media == 2000 and size.bytes < 7000


def test_a_text_is_counted_by_its_bytes_whatever_it_looks_like() -> None:
    carried = f"data:image/png;base64,{PICTURE}"
    for call in (
        chat(carried),
        chat(f'{{"content":[{{"image_url":{{"url":"{carried}"}}}}]}}'),
        parts({"type": "text", "text": carried}),
        parts({"type": "text", "text": f'"url":"{carried}"'}),
        Call("m", carried),
    ):
        assert size_of(call).bytes >= len(PICTURE) and not size_of(call).media


def test_pictures_are_learned_apart() -> None:
    estimator = Estimator()
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    for _ in range(30):
        report(estimator, parts(part), 800)
        report(estimator, chat(PROSE), 30)
    assert 800 <= estimator.before(parts(part)).input <= 1100
    assert estimator.before(chat(PROSE)).input <= 45
    report(estimator, parts(part), 30_000)
    assert estimator.before(parts(part)).input >= 30_000


@pytest.mark.parametrize("name", ["tools", "functions", "response_format", "documents"])
def test_what_else_is_put_before_the_model_counts(name: str) -> None:
    plain, more = chat("hi", fields={}), chat("hi", fields={name: raw([{"x": "y" * 500}]), "temperature": raw(1)})
    assert Estimator().before(more).input >= Estimator().before(plain).input + 500


@pytest.mark.parametrize(
    "constraint", [JsonSchema(raw({"x": "y" * 500})), Regex("y" * 500), OneOf(("y" * 500,)), Grammar("y" * 500)]
)
def test_what_an_answer_is_held_to_counts(constraint: Any) -> None:
    more = Estimator().before(chat("hi", constraint=constraint)).input
    assert more >= Estimator().before(chat("hi")).input + 500


def test_token_ids_are_what_they_are() -> None:
    estimator = Estimator(template=False)
    call = Call("m", Prompts((tuple(range(100)), tuple(range(20)), "text")))
    assert estimator.before(call).input == 120 + 4 + 2 * 3
    for _ in range(20):
        report(estimator, call, 121)
    assert 121 <= estimator.before(call).input <= 130


@pytest.mark.parametrize(
    ("params", "most", "prompts", "bound"),
    [
        (Params(max_tokens=10), None, 1, 10),
        (Params(max_tokens=10, n=3), 4096, 1, 30),
        (Params(max_tokens=10, n=2, best_of=5), None, 2, 100),
        (Params(n=2), 4096, 1, 8192),
        (Params(), None, 1, None),
        (Params(max_tokens=0), 4096, 1, 0),
    ],
)
def test_output_bound(params: Params, most: int | None, prompts: int, bound: int | None) -> None:
    assert output_bound(params, most, prompts) == bound


def test_an_answer_that_broke_off() -> None:
    estimator = Estimator()
    assert estimator.streamed(0, 0) == 0
    assert estimator.streamed(400, 3) == 100
    assert estimator.streamed(400, 150) == 150
    for _ in range(3):
        report(estimator, chat("hi"), 10, 8, chars=80, pieces=8)
    assert estimator.streamed(400, 37) == 37
    report(estimator, chat("hi"), 10, 8, chars=80, pieces=2)
    assert estimator.streamed(400, 3) == 40


class Words:
    """A tokenizer of words."""

    begin = 1
    most = 2000

    def count(self, text: str) -> int:
        return len(text.split())


def test_with_a_tokenizer() -> None:
    estimator = Estimator(Words())
    guess = estimator.before(chat("one two three"))
    assert (guess.counted, guess.messages, guess.input) == (4, 1, 44)
    report(estimator, chat("one two three"), 9)
    assert 9 <= estimator.before(chat("one two three")).input <= 4 + 12
    assert estimator.likely(estimator.before(chat("one two three four")))[0] == 10
    assert estimator.before(chat("word " * 1000)).counted is None
    assert estimator.before(chat("one", constraint=Regex("a+"))).counted is None
    assert estimator.before(Call("m", Chat(raw(["no message"])))).counted is None
    assert estimator.streamed(9, 1, "one two three") == 3


def test_a_tokenizer_that_is_another_model_s_is_corrected() -> None:
    estimator, call = Estimator(Words(), template=False), Call("m", "one two three")
    assert estimator.before(call).input == 4
    report(estimator, call, 9)
    assert estimator.before(call).input == 9


def test_steps_are_in_order() -> None:
    places = [place_of(size) for size in range(1, 100_000)]
    assert places == sorted(places) and len(set(places)) < 70


def fastest(work: Callable[[], object], times: int) -> float:
    """Seconds of one, at the best of several tries."""
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, (time.perf_counter() - start) / times)
    return best


def test_long_prompts_cost_little_more_than_short_ones() -> None:
    """Their words are looked at in samples; a ratio holds on any machine."""
    estimator = Estimator()
    short, long = chat(PROSE[:30]), chat(PROSE * 1200)
    report(estimator, short, 9)
    assert fastest(lambda: estimator.before(long), 50) < 12 * fastest(lambda: estimator.before(short), 500)


def test_what_is_known_for_sure_does_not_come_down() -> None:
    """Reports of easy texts teach what texts come to as a rule, and nothing of the worst that anybody may write."""
    estimator = Estimator()
    for size in range(1000, 4000, 10):
        report(estimator, Call("m", (PROSE * 50)[:size]), size // 5)
    worst = estimator.before(Call("m", "x9 " * 1000))
    assert worst.input < 1500 and worst.most >= 3000
    report(estimator, Call("m", "x9 " * 1000), 9000)  # more than a token for each byte
    assert estimator.before(Call("m", "x9 " * 1000)).most >= 9000
