"""Which documents are so written that their capitals tell no names."""

import pytest

from core_engine.kg.rules.extractor import scan
from core_engine.kg.rules.writing import NO_CAPITALS, NO_SUCH_SCRIPT, NOUNS, Writing
from core_engine.types import ChunkTurn

ORDINARY = "Well, we met Bob in Oslo last week and he told us about the plan. It was fine with me, I think. "
GERMAN = (
    "Also, wir haben gestern mit Frau Weber über den Vertrag gesprochen, und ich denke, dass die Lieferung nicht vor "
    "dem Sommer kommt. Es ist auch eine Frage der Kosten, aber das kann man noch klären. "
)


def trouble(*texts):
    writing = Writing()
    for text in texts:
        writing.add(scan((ChunkTurn(None, text, text, 0),)))
    return writing.trouble


def test_a_lower_cased_document_is_noticed():
    assert trouble(*[ORDINARY.lower()] * 20) == NO_CAPITALS
    assert trouble(*[ORDINARY.lower().replace(" i ", " I ")] * 20) == NO_CAPITALS


def test_a_document_in_capitals_is_noticed():
    assert trouble(*[ORDINARY.upper()] * 20) == NO_CAPITALS


def test_an_ordinary_document_is_fine():
    assert trouble(*[ORDINARY] * 20) is None


def test_a_german_document_is_noticed_and_one_that_quotes_german_is_not():
    assert trouble(*[GERMAN] * 20) == NOUNS
    assert trouble(*[ORDINARY + "Das ist der Weg, he said. "] * 20) is None


def test_ten_small_words_are_too_few_to_call_a_document_lower_cased():
    assert trouble("yeah that is fine with me then") is None
    assert trouble() is None


@pytest.mark.parametrize("text", ["我们明天开会。", "مرحبا بكم جميعا", "नमस्ते दोस्तों"])
def test_a_script_without_capitals_is_noticed(text):
    assert trouble(text * 20) == NO_SUCH_SCRIPT
