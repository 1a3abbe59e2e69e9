"""How busy an engine is, read from the text of its metrics."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.local.load import NAMES, Load, load_endpoint, load_of, load_path
from adapters.types import Host

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-0.6B"} 3.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-0.6B"} 12.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-0.6B"} 0.4375
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="Qwen/Qwen3-0.6B"} 1.2041e+06
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="Qwen/Qwen3-0.6B"} 7.0
"""

OLD_VLLM = """\
vllm:num_requests_running{model_name="m"} 1.0
vllm:num_requests_swapped{model_name="m"} 9.0
vllm:num_requests_waiting{model_name="m"} 0.0
vllm:gpu_cache_usage_perc{model_name="m"} 0.015625
vllm:cpu_cache_usage_perc{model_name="m"} 0.75
"""

BOTH_SPELLINGS = """\
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:gpu_cache_usage_perc{engine="1"} 0.75
vllm:num_requests_running{engine="0"} 2
vllm:num_requests_running{engine="1"} 3
vllm:num_requests_waiting{engine="1"} 1
vllm:num_requests_waiting_by_reason{engine="1",reason="capacity"} 40
"""

SGLANG = """\
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.28
sglang:num_running_reqs{model_name="meta-llama/Llama-3.1-8B-Instruct"} 161.0
sglang:num_used_tokens{model_name="meta-llama/Llama-3.1-8B-Instruct"} 123859.0
sglang:num_queue_reqs{model_name="meta-llama/Llama-3.1-8B-Instruct"} 2826.0
"""

LLAMACPP = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 6886
# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
# HELP llamacpp:requests_deferred Number of requests deferred.
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 4
"""

TGI = """\
# TYPE tgi_batch_current_max_tokens gauge
tgi_batch_current_max_tokens 512
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 6
# TYPE tgi_queue_size gauge
tgi_queue_size 2
tgi_queue_size_total 99
"""


@pytest.mark.parametrize(
    ("engine", "text", "load"),
    [
        ("vllm", VLLM, Load(3.0, 12.0, 0.4375)),
        ("vllm", OLD_VLLM, Load(1.0, 0.0, 0.015625)),
        ("vllm", BOTH_SPELLINGS, Load(5.0, 1.0, 0.5)),
        ("sglang", SGLANG, Load(161.0, 2826.0, 0.28)),
        ("sglang", SGLANG.replace("sglang:", "sglang_"), Load(161.0, 2826.0, 0.28)),
        ("llama.cpp", LLAMACPP, Load(1.0, 4.0, None)),
        ("llama.cpp", LLAMACPP + "llamacpp:kv_cache_usage_ratio 0.5\n", Load(1.0, 4.0, 0.5)),
        ("tgi", TGI, Load(6.0, 2.0, None)),
        ("tgi", TGI.replace("\n", "\r\n"), Load(6.0, 2.0, None)),
        ("tgi", VLLM, None),
        ("ollama", VLLM, None),
        (None, VLLM, None),
        ("vllm", "", None),
        ("vllm", '{"detail": "Not Found"}', None),
    ],
)
def test_what_each_engine_says(engine: str | None, text: str, load: Load | None) -> None:
    assert load_of(engine, text) == load


@pytest.mark.parametrize(
    ("line", "queue"),
    [
        ("tgi_queue_size 0", 0.0),
        ("tgi_queue_size 1e1", 10.0),
        ("tgi_queue_size +1.5E+1", 15.0),
        ("tgi_queue_size .5", 0.5),
        ("tgi_queue_size 3 1700000000000", 3.0),
        ("tgi_queue_size\t3", 3.0),
        ("  tgi_queue_size   3  ", 3.0),
        ("tgi_queue_size{} 3", 3.0),
        ("tgi_queue_size{}3", 3.0),
        ("tgi_queue_size {a=\"b\"} 3", 3.0),
        ('tgi_queue_size{a="b",} 3', 3.0),
        ('tgi_queue_size{a="} 7",c="\\" 8 {"} 3', 3.0),
        ('tgi_queue_size{a="back\\\\"} 3', 3.0),
        ('tgi_queue_size{a="b"} 3 # {trace="x"} 9 1.0', 3.0),
        ("tgi_queue_size{a=\"1\"} 3\ntgi_queue_size{a=\"2\"} 4", 7.0),
        ("tgi_queue_size NaN", None),
        ("tgi_queue_size +Inf", None),
        ("tgi_queue_size -1", None),
        ("tgi_queue_size 1_0", None),
        ("tgi_queue_size 1e999", None),
        ("tgi_queue_size 0x10", None),
        ("tgi_queue_size ٣", None),
        ("tgi_queue_size{a=\"1\"} 3\ntgi_queue_size{a=\"2\"} NaN", None),
        ("tgi_queue_size3", None),
        ("tgi_queue_size", None),
        ("tgi_queue_size \n5", None),
        ("tgi_queue_size{a=\"b\" 3", None),
        ("tgi_queue_size{a=\"b} 3", None),
        ("tgi_queue_sizes 3", None),
        ("a_tgi_queue_size 3", None),
        ("# tgi_queue_size 3", None),
        ("# HELP tgi_queue_size tgi_queue_size 3", None),
        ("<html>tgi_queue_size 3", None),
    ],
)  # fmt: skip
def test_how_a_line_is_read(line: str, queue: float | None) -> None:
    load = load_of("tgi", line + "\ntgi_batch_current_size 1\n")
    assert load == Load(1.0, queue)


@pytest.mark.parametrize("value", ["1.5", "-0.1", "NaN", "100"])
def test_a_part_of_more_than_all_is_unknown(value: str) -> None:
    assert load_of("sglang", f"sglang:token_usage {value}\nsglang:num_queue_reqs 2\n") == Load(None, 2.0, None)


def test_where_it_is_asked() -> None:
    assert load_path("vllm") == load_path("tgi") == "/metrics"
    assert load_path("ollama") is None and load_path(None) is None
    for base in ("http://gpu:8000/v1", "http://gpu:8000/v1/", "http://gpu:8000"):
        endpoint = load_endpoint(Host(base_url=base, engine="vllm", key="k", query={"a": "b"}))
        assert endpoint is not None and endpoint.url == "http://gpu:8000/metrics?a=b"
        assert ("authorization", "Bearer k") in endpoint.headers
    behind = load_endpoint(Host(base_url="http://proxy/replica-1/v1", engine="sglang"))
    assert behind is not None and behind.url == "http://proxy/replica-1/metrics"
    assert load_endpoint(Host(base_url="http://gpu", engine="ollama")) is None
    assert load_endpoint(Host(base_url="http://gpu", engine="llama.cpp", demo=True)) is None
    assert load_endpoint(Host(base_url="http://gpu")) is None


LABELS = st.dictionaries(st.sampled_from(["a", "engine", "model_name"]), st.text(max_size=8), max_size=3)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@given(st.lists(st.tuples(LABELS, st.integers(0, 10**6), st.sampled_from(["", " ", " 1700000000"])), max_size=6))
def test_whatever_the_labels_the_sum_is_right(rows: list[tuple[dict[str, str], int, str]]) -> None:
    lines = ["# TYPE vllm:num_requests_waiting gauge"]
    for labels, value, tail in rows:
        shown = ",".join([f'{name}="{escaped(text)}"' for name, text in labels.items()])
        lines.append(f"vllm:num_requests_waiting{{{shown}}} {value}{tail}")
    load = load_of("vllm", "\n".join(lines))
    assert load == (Load(None, float(sum([value for _, value, _ in rows])), None) if rows else None)


@given(
    st.sampled_from(sorted(NAMES)),
    st.lists(
        st.sampled_from([*VLLM.splitlines(), *TGI.splitlines(), "{", '"', "\\", " ", "\n", "NaN", "1e"]) | st.text()
    ),
)
def test_any_text_is_read_without_an_error(engine: str, pieces: list[str]) -> None:
    load = load_of(engine, "".join(pieces))
    for value in () if load is None else (load.running, load.waiting):
        assert value is None or 0 <= value < float("inf")
    assert load is None or load.cache_use is None or 0 <= load.cache_use <= 1


@pytest.mark.parametrize("line", ['tgi_queue_size{"', 'tgi_queue_size{a="\\', "tgi_queue_size ", "tgi_queue_size{a,"])
def test_no_text_takes_long(line: str) -> None:
    began = time.process_time()
    for tail in (line[-1], line[-2:], '"\\', " \t", "\n" + line):
        load_of("tgi", line + tail * 100_000)
    assert time.process_time() - began < 3
