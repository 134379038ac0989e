"""BM25 vectors: words, and nothing else, weighed as Qdrant does."""

from __future__ import annotations

import pytest

from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.types import SparseVector


@pytest.fixture(scope="module")
def bm25() -> Bm25Encoder:
    return Bm25Encoder()


def score(document: SparseVector, query: SparseVector) -> float:
    weights = dict(zip(document.indices, document.values, strict=True))
    return sum(weights.get(i, 0.0) * v for i, v in zip(query.indices, query.values, strict=True))


def test_a_query_finds_its_words_in_other_forms(bm25):
    document = bm25.document("We discussed the remote controls and their batteries.")
    assert score(document, bm25.query("remote control")) > 0
    assert score(document, bm25.query("battery")) > 0
    assert score(document, bm25.query("television")) == 0


def test_a_text_that_says_it_more_often_scores_higher_and_a_longer_one_lower(bm25):
    query = bm25.query("budget")
    once = bm25.document("The budget was approved on Monday.")
    thrice = bm25.document("Budget, budget, budget: approved on Monday.")
    long = bm25.document("The budget was approved on Monday. " + "Other matters were postponed again. " * 40)
    assert score(thrice, query) > score(once, query) > score(long, query) > 0


def test_a_query_weighs_each_word_once(bm25):
    assert set(bm25.query("budget budget plan").values) == {1.0}


@pytest.mark.parametrize("text", ["", "   ", "the of and", "\x00\x1b", "?!"])
def test_a_text_without_words_is_an_empty_vector(bm25, text):
    assert bm25.document(text) == bm25.query(text) == SparseVector((), ())


def test_the_same_text_gives_the_same_vector_from_any_encoder(bm25):
    text = "Ann Lee, our CFO, joined Acme in 2019."
    assert bm25.document(text) == Bm25Encoder().document(text)


def test_unpaired_surrogates_nul_and_markup_are_text_like_any_other(bm25):
    assert bm25.document("\ud800 budget \udfff").indices == bm25.document("budget").indices
    assert bm25.document("bud\x00get budget").indices != ()
    for text in ("<|endoftext|>", "\x1b[31mred\x1b[0m", "'; MATCH (n) DETACH DELETE n //", "<script>alert(1)</script>"):
        assert bm25.document(text).indices == tuple(sorted(bm25.document(text).indices))


def test_accents_do_not_hide_a_word(bm25):
    assert bm25.query("Muller café") == bm25.query("Müller cafe")


@pytest.mark.parametrize(
    ("text", "word"),
    [("我们会议记录很好", "会议"), ("メールを送ってください", "メール"), ("รายงานการประชุมวันนี้", "วันนี้")],
)
def test_words_are_found_in_scripts_without_spaces(bm25, text, word):
    assert score(bm25.document(text), bm25.query(word)) > 0


def test_latin_words_beside_chinese_ones_are_the_same_words(bm25):
    assert score(bm25.document("Kubernetes 集群升级"), bm25.query("kubernetes")) > 0


def test_a_word_in_han_characters_is_found_in_chinese_and_in_japanese():
    encoder = Bm25Encoder()

    def found(word: str, text: str) -> bool:
        return bool(set(encoder.query(word).indices) & set(encoder.document(text).indices))

    japanese = "田中: 来週、電池の試作品を大阪に送ります。鈴木さんが担当です。"
    assert all(found(word, japanese) for word in ("電池", "来週", "試作品", "大阪", "担当", "鈴木", "電池の"))
    assert all(found(word, "我们下周把电池样品送到上海。") for word in ("电池", "上海"))
    assert not found("電池", "鈴木さんの会社の人です。")
