import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from core_engine.llm.tokens import CompletionModel, TokenCounter, estimate_tokens, vocabulary

TEXT = "Ann Lee said, in the meeting on Monday, that the new budget isn't going to be approved before next week."
SHARED = Path(os.environ.get("KG_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data")


def test_english_words_are_estimated_by_letters_spaces_and_marks():
    assert 20 <= estimate_tokens(TEXT) <= 28  # o200k_base: 24
    assert estimate_tokens("") == 0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Совет решил, что новый бюджет будет утверждён в понедельник, и Анна должна подготовить отчёт.", 26),
        ("委员会决定新的预算将在星期一批准,安娜应当准备一份关于支出的报告,我们下周再讨论这个问题。", 29),
        ("위원회는 새 예산을 월요일에 승인하기로 결정했으며 안나는 지출 보고서를 준비해야 합니다.", 26),
        ("Der Rat beschloss, dass der neue Haushalt am Montag genehmigt wird, für die nächste Sitzung.", 20),
    ],
)
def test_other_scripts_are_estimated_by_their_own_measure(text, tokens):
    assert tokens / 1.5 <= estimate_tokens(text) <= tokens * 1.5


@pytest.mark.parametrize("text", ["<|endoftext|>", "\ud800", "\x00", "a" * 100_000, "\U0001f600" * 50])
def test_any_text_is_counted(text):
    assert TokenCounter("gpt-5-mini").count(text) > 0


def test_a_counter_learns_from_the_usage_of_replies():
    counter = TokenCounter("some-local-model")
    assert counter.estimator == "characters"
    before = counter.count(TEXT)
    for _ in range(3):
        counter.observe(len(TEXT), before * 3 // 2)
    assert counter.count(TEXT) == pytest.approx(before * 1.5, abs=1)


@pytest.mark.parametrize("usage", [0, -7, 1, 10**9])
def test_absurd_usage_teaches_nothing(usage):
    counter = TokenCounter("m")
    before = counter.count(TEXT)
    counter.observe(len(TEXT), usage)
    counter.observe(0, 50)
    assert counter.count(TEXT) == before


def test_usage_that_comes_before_anything_was_counted_teaches_nothing():
    counter = TokenCounter("m")
    counter.observe(100, 25)
    assert counter.factor == 1


def test_a_vocabulary_that_is_missing_or_broken_is_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert vocabulary("o200k_base") is None
    (tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(b"half a downl")
    assert vocabulary("o200k_base") is None
    assert vocabulary("o200k_base", {"TIKTOKEN_CACHE_DIR": ""}) is None
    counter = TokenCounter("gpt-5-mini", exact=True)
    assert counter.estimator == "characters"
    assert counter.count(TEXT) > 0


def test_another_makers_model_has_no_exact_count():
    assert TokenCounter("qwen3:8b", exact=True).estimator == "characters"


def test_tiktoken_is_not_imported_unless_exact_counts_are_asked_for():
    code = (
        "import sys; from core_engine.llm.tokens import TokenCounter; TokenCounter('gpt-5-mini').count('a b');"
        " assert 'tiktoken' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.skipif(not (SHARED.parent / "vocab").is_dir(), reason="no vocabulary file on this machine")
def test_exact_counts_take_special_tokens_as_text(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(SHARED.parent / "vocab"))
    counter = TokenCounter("openai/gpt-5-mini", exact=True)
    assert counter.estimator == "tiktoken"
    assert counter.count("<|endoftext|>") > 1
    assert counter.count("hello world") == 2


@pytest.mark.skipif(not (SHARED.parent / "vocab").is_dir(), reason="no vocabulary file on this machine")
def test_the_estimate_is_near_the_exact_count_on_real_meetings(monkeypatch):
    path = SHARED / "transcripts" / "large" / "qmsum_chunks_8834.jsonl.gz"
    if not path.exists():
        pytest.skip("no shared transcripts on this machine")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(SHARED.parent / "vocab"))
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][::10]
    exact = TokenCounter("gpt-5-mini", exact=True)
    counts = [exact.count(text) for text in texts]
    estimates = [estimate_tokens(text) for text in texts]
    ratios = sorted(estimate / count for estimate, count in zip(estimates, counts, strict=True))
    assert sum(estimates) == pytest.approx(sum(counts), rel=0.03)
    assert ratios[len(ratios) // 20] > 0.88
    assert ratios[-len(ratios) // 20] < 1.12


def test_the_first_guess_of_a_replys_length_is_by_chunks():
    model = CompletionModel()
    assert (model.expected(10), model.ceiling(10)) == (4_000, 14_000)


def test_the_expected_length_follows_the_replies():
    model = CompletionModel()
    for _ in range(200):
        model.observe(10, 1_000)
    assert model.expected(10) == pytest.approx(1_000, rel=0.05)
    assert model.expected(1) == pytest.approx(100, rel=0.05)


def test_the_ceiling_is_never_below_twice_the_999th_permille_seen():
    model, rng, seen = CompletionModel(), random.Random(5), []
    for count in range(1, 5_001):
        tokens = round(min(rng.lognormvariate(7, 1), 60_000))
        model.observe(10, tokens)
        seen.append(tokens)
        if count % 250 == 0:
            longest = sorted(seen)[-1 - count // 1_000]
            assert model.ceiling(10) >= 2 * longest - 1
            if count < 1_000:
                assert model.ceiling(10) >= 14_000


def test_short_replies_lower_the_ceiling_once_enough_are_seen():
    model = CompletionModel()
    for _ in range(1_500):
        model.observe(10, 500)
    assert model.ceiling(10) == pytest.approx(1_000, abs=1)


def test_replies_without_usage_change_nothing():
    model = CompletionModel()
    model.observe(10, 0)
    model.observe(0, 100)
    assert (model.expected(10), model.ceiling(10)) == (4_000, 14_000)


def test_a_model_that_runs_on_and_on_is_not_given_ever_more_room():
    model = CompletionModel()
    for _ in range(20):
        model.observe(10, model.ceiling(10))
    assert model.ceiling(10) == 8 * 14_000
    assert model.ceiling(1, 2**10) == 8 * 3_200
