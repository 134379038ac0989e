import datetime as dt
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from core_engine.errors import SettingsError
from core_engine.types import Usage
from metrics.prices import Prices

DAY = dt.date(2026, 11, 1)
USAGE = Usage(prompt=1_000, cached=400, completion=100)


def prices(tmp_path, text, **options):
    file = tmp_path / "prices.toml"
    file.write_text(text, encoding="utf-8")
    return Prices(file, on=DAY, **options)


def test_a_known_model_is_priced_with_its_cached_rate():
    price = Prices(on=DAY).price("gpt-5-mini", USAGE, "extract")
    assert (
        price == Decimal("0.00035999999") or price == (600 * Decimal("0.25") + 400 * Decimal("0.025") + 100 * 2) / 10**6
    )


def test_batch_calls_cost_half_and_embeddings_too():
    listed = Prices(on=DAY)
    assert listed.price("gpt-5-mini", USAGE, "extract", "batch") == listed.price("gpt-5-mini", USAGE, "extract") / 2
    embedding = Usage(prompt=1_000_000)
    assert listed.price("text-embedding-3-small", embedding, "embed") == Decimal("0.02")
    assert listed.price("text-embedding-3-small", embedding, "embed", "batch") == Decimal("0.01")


def test_flex_is_known_where_a_model_offers_it():
    usage = Usage(prompt=1_000_000, completion=1_000_000)
    assert Prices().price("gpt-5-mini", usage, "extract", "flex") == Decimal("1.125")
    assert Prices().price("gpt-5-mini", usage, "extract") == Decimal("2.25")


@pytest.mark.parametrize("model", ["qwen3:8b", "llama3.1", "nomic-embed-text", "gpt-oss-20b", "", "gpt-5-mini-of-mine"])
def test_a_local_or_unknown_model_is_unpriced_and_never_free(model):
    listed = Prices(on=DAY, endpoints={"extract": "http://127.0.0.1:11434/v1"})
    assert listed.price(model, USAGE, "extract") is None
    assert listed.source(model, "extract") == "unpriced"


def test_a_models_price_is_its_providers_where_the_endpoint_is_known():
    listed = Prices(on=DAY, endpoints={"extract": "https://openrouter.ai/api/v1"})
    assert listed.price("openai/gpt-5-mini", USAGE, "extract") is not None
    assert "openrouter" in listed.source("openai/gpt-5-mini", "extract")


def test_a_price_that_rises_with_the_prompt_is_taken_at_the_prompts_length():
    listed = Prices(on=DAY)
    short = listed.price("claude-sonnet-4-5", Usage(prompt=100_000), "extract")
    long = listed.price("claude-sonnet-4-5", Usage(prompt=300_000), "extract")
    assert long == 6 * short


def test_the_users_file_goes_before_the_list(tmp_path):
    mine = prices(
        tmp_path,
        """
        [[price]]
        model = "gpt-5-mini"
        input = 0.1
        cached = "0.01"
        output = 1
        source = "contract 17"

        [[price]]
        model = "qwen*"
        input = 0
        output = 0
        """,
    )
    assert mine.price("gpt-5-mini", USAGE, "extract") == Decimal("0.000164")
    assert mine.source("gpt-5-mini") == "prices.toml, contract 17"
    assert mine.price("qwen3:8b", USAGE, "extract") == 0
    assert "genai-prices" in mine.source("gpt-5")


def test_the_latest_price_that_has_begun_holds_and_the_full_name_before_a_pattern(tmp_path):
    def entry(model, price, since):
        return f'[[price]]\nmodel = "{model}"\ninput = {price}\noutput = 0\nfrom = {since}\n'

    mine = prices(
        tmp_path,
        entry("m1", 1, "2026-01-01")
        + entry("m1", 2, "2026-06-01")
        + entry("m1", 3, "2027-01-01")
        + entry("m*", 9, "2026-10-01"),
    )
    million = Usage(prompt=1_000_000)
    assert mine.price("m1", million, "extract") == 2
    assert mine.price("m2", million, "extract") == 9


def test_a_negotiated_price_is_not_mixed_with_a_public_discount(tmp_path):
    mine = prices(tmp_path, '[[price]]\nmodel = "gpt-5-mini"\ninput = 0.2\noutput = 2\n')
    million = Usage(prompt=1_000_000)
    assert mine.price("gpt-5-mini", million, "extract", "batch") == Decimal("0.2")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[[price]]\nmodel = "m"\ninput = 1\nouput = 2\n', 4, "`ouput` is no key"),
        ('# mine\n[[price]]\nmodel = "m"\ninput = "a lot"\noutput = 2\n', 4, "must be a number"),
        ('[[price]]\nmodel = "m"\ninput = 1\n', 1, "`output` must be a number"),
        (
            '[[price]]\nmodel = "a"\ninput = 1\noutput = 1\n\n[[price]]\nmodel = "b"\noutput = -1\ninput = 1',
            8,
            "below 0",
        ),
        ('[[price]]\nmodel = "m"\ninput = nan\noutput = 1\n', 3, "must be a number"),
        ('[[price]]\nmodel = "m"\ninput = true\noutput = 1\n', 3, "must be a number"),
        ('[[price]]\nmodel = "m"\ninput = 1\noutput = 1\nfrom = "2026-01-01"\n', 5, "must be a date"),
        ('[[price]]\nmodel = "m"\ninput = 1\noutput = 1\nprocessing = "slow"\n', 5, "one of standard"),
        ("[[price]]\ninput = 1\noutput = 1\n", 1, "needs its `model`"),
        ("[[price]]\nmodel = 'm\n", 2, ""),
        ("[prices]\n", 1, "[[price]] tables"),
        ("price = [1]\n", 1, "[[price]] tables"),
    ],
)
def test_a_mistake_in_a_price_file_is_named_with_its_line(tmp_path, text, line, says):
    with pytest.raises(SettingsError) as error:
        prices(tmp_path, text)
    assert f"prices.toml:{line}: " in str(error.value)
    assert says in str(error.value)


def test_a_price_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(SettingsError, match="missing"):
        Prices(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="binary"):
        Prices(tmp_path / "binary.toml")


def test_more_cached_tokens_than_prompt_tokens_count_as_all_of_them():
    listed = Prices(on=DAY)
    assert listed.price("gpt-5-mini", Usage(prompt=100, cached=900), "extract") == listed.price(
        "gpt-5-mini", Usage(prompt=100, cached=100), "extract"
    )


def test_the_list_of_prices_is_loaded_only_when_a_price_is_asked_for():
    code = "import sys; from metrics.prices import Prices; Prices(); assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
