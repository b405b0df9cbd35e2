"""The messages are closed on both sides, and an engine's last lines become a cause."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.agent.causes import explain, progress
from clusters.agent.messages import EngineOrder, EngineReport, Malformed, Orders, Sync, decode, encode
from clusters.agent.signing import HostKey
from clusters.agent.tail import cap, last_lines, open_log, read_tail

ORDER = EngineOrder(uid="u", engine="vllm", release="r", argv=("--a", "b"), env={"A_B": "c"}, devices=(0, 1),
                    start_seconds=5, token="")
ORDERS = Orders(True, 7, 2, 60, 15, 5, (ORDER,))


def test_a_message_survives_its_way() -> None:
    assert decode(Orders, encode(ORDERS), most=10_000) == ORDERS


@pytest.mark.parametrize(("old", "new", "word"), [
    ('"complete":true', '"complete":1', "complete is not bool"),
    ('"version":7', '"version":true', "version is not int"),
    ('"version":7', '"version":-1', "not between"),
    ('"version":7', '"version":7.0', "not int"),
    ('"version":7', '"versiom":7', "unknown field"),
    ('"version":7', '"version":7,"version":8', "twice"),
    ('"version":7', '"version":Infinity', "not a number"),
    ('"--a"', '"\\ud800"', "not JSON"),
    ('"--a"', "null", "not str"),
    ('"devices":[0,1]', '"devices":{}', "not a list"),
    ('"env":{"A_B":"c"}', '"env":[]', "not an object"),
    ('"token":""', '"token":"%s"' % ("x" * 201), "longer than 200"),
    (',"version":7', "", "lacks version"),
])
def test_what_was_not_agreed_is_refused(old: str, new: str, word: str) -> None:
    text = encode(ORDERS).decode()
    assert old in text
    with pytest.raises(Malformed, match=word):
        decode(Orders, text.replace(old, new, 1).encode(), most=10_000)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_no_other_json_passes_and_none_breaks_the_reader(value: object) -> None:
    with pytest.raises(Malformed):
        decode(Sync, json.dumps(value).encode(), most=100_000)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode(Sync, raw, most=100_000)


def test_a_host_key_comes_back_from_its_text() -> None:
    key = HostKey.draw()
    assert HostKey.from_text(key.text).public == key.public
    headers = [key.headers("h", "GET", "/", b"", 1.0) for _ in range(2)]
    assert headers[0]["X-Agent-Nonce"] != headers[1]["X-Agent-Nonce"]


def test_a_report_needs_no_log() -> None:
    fields = {f.name for f in dataclasses.fields(EngineReport) if f.default is None}
    assert fields == {"pid", "port", "exit_code", "log", "previous_log"}


@pytest.mark.parametrize(("exit_code", "text", "code", "words"), [
    (1, "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
     "no_cache_memory", "no memory for the cache"),
    (1, "ValueError: To serve at least one request with the models's max seq len (40960), (4.38 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (1.10 GiB). Based on the available memory, the estimated "
        "maximum model length is 10272.", "context_too_long", "10272"),
    (1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "gpu_memory", "ran out of memory"),
    (1, "ValueError: Free memory on device cuda:0 (2.1/79.2 GiB) on startup is less than desired GPU memory utilization",
     "gpu_in_use", "Another process"),
    (1, "RuntimeError: World size (8) is larger than the number of available GPUs (2) in this node.", "too_few_gpus", "8 GPUs"),
    (137, "", "killed", "ran out of memory"),
    (2, "api_server.py: error: unrecognized arguments: --max-model-lenn 5", "bad_argument", "--max-model-lenn 5"),
    (2, "api_server.py: error: argument --dtype: invalid choice: 'x' (choose from auto, half)", "bad_argument", "--dtype"),
    (2, "", "bad_argument", "refuses its arguments"),
    (1, "OSError: You are trying to access a gated repo.", "gated", "licence"),
    (1, "huggingface_hub.errors.HfHubHTTPError: 403 Client Error: Forbidden for url", "gated", "token"),
    (1, "Repo id must be in the form 'repo_name' ... HFValidationError", "model_missing", "not there"),
    (1, "OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', 80): address already in use",
     "port_in_use", "port"),
    (1, "OSError: [Errno 28] No space left on device", "disk_full", "full"),
    (1, "ModuleNotFoundError: No module named 'vllm'", "broken_release", "vllm"),
    (1, "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}", "ended", "code 1"),
    (1, "ValueError: the real one\nRuntimeError: Engine core initialization failed.", "error", "the real one"),
    (3, "", "ended", "exit code 3"),
    (None, "", "ended", "no agent was watching"),
])
def test_the_cause_of_an_end(exit_code: int | None, text: str, code: str, words: str) -> None:
    found = explain(exit_code, f"INFO trust_remote_code=False, max_seq_len=256\n{text}\n")
    assert (found.code, words in found.sentence) == (code, True), found


@pytest.mark.parametrize(("log", "words"), [
    ("INFO nothing yet", ""),
    ("Starting to load model x...", "Loading the weights"),
    ("Starting to load model\nLoading safetensors checkpoint shards:   0% Completed | 0/4\r"
     "Loading safetensors checkpoint shards:  50% Completed | 2/4", "Loading the weights: 50 %"),
    ("checkpoint shards\nModel loading took 1.2 GiB memory and 3 seconds", "Preparing the cache"),
    ("Available KV cache memory: 1 GiB\nGPU KV cache size: 9 tokens", "Warming up"),
    ("Starting vLLM server on http://127.0.0.1:1", "Opening its port"),
])
def test_progress_is_read_from_the_log(log: str, words: str) -> None:
    assert progress(log) == words


def test_a_log_is_capped_in_place_and_the_run_before_is_kept(tmp_path: Path) -> None:
    import os
    first = open_log(tmp_path)
    os.write(first, b"first run\n")
    os.close(first)
    second = open_log(tmp_path)
    path = tmp_path / "engine.log"
    os.write(second, b"".join(b"line %d\n" % n for n in range(10_000)))
    assert cap(path, most=50_000, kept=1000)
    os.write(second, b"after the cut\n")
    os.close(second)
    assert path.stat().st_size < 1200
    assert read_tail(path).splitlines()[-2:] == ["line 9999", "after the cut"]
    assert (tmp_path / "previous.log").read_text() == "first run\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_progress_bars_do_not_fill_the_last_lines() -> None:
    assert last_lines("a\n" + "0%\r50%\r100%\n" + "b\n", 2) == "100%\nb"
