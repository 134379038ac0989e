"""Words as sparse vectors: Qdrant's own BM25, which needs no model, no download and no server."""

from __future__ import annotations

import re

import qdrant_edge

from core_engine.types import SparseVector

# What a chunk of the default size holds after stop words (measured on QMSum: 93). Part of every document's vector:
# another value makes every vector another one.
_AVERAGE_TOKENS = 90.0

# Thai, Japanese kana and Chinese characters are written without spaces: the word tokenizer makes a whole sentence one
# token. Elsewhere it says the same as the multilingual one, three times as fast.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile("[\u3040-\u30ff]")
_SIGN_OF_JAPANESE = "\u306e"  # "of", which hardly a Japanese sentence does without


class Bm25Encoder:
    """Term weights of documents and of queries; how rare a term is counts in the store (Qdrant's IDF modifier).

    English stop words and stemming; words of other languages pass as they are, in lower case and without accents.
    """

    def __init__(self) -> None:
        self._words = _model(qdrant_edge.TokenizerType.Word)
        self._multilingual = _model(qdrant_edge.TokenizerType.Multilingual)

    def document(self, text: str) -> SparseVector:
        """The vector under which a text is stored; empty where it holds no word."""
        text = _encodable(text)
        return _plain(self._model_for(text).embed_document(text))

    def query(self, text: str) -> SparseVector:
        """The vector with which to search; empty where the text holds no word."""
        text = _encodable(text)
        vector = _plain(self._model_for(text).embed_query(text))
        return self._japanese_too(text, vector) if _HAN.search(text) and not _KANA.search(text) else vector

    def _japanese_too(self, text: str, chinese: SparseVector) -> SparseVector:
        """The terms of both languages: a few characters without kana are taken for Chinese, and parted as it is."""
        sign = self._multilingual.embed_query(_SIGN_OF_JAPANESE).indices
        japanese = self._multilingual.embed_query(f"{_SIGN_OF_JAPANESE} {text}")
        terms = {i: v for i, v in zip(japanese.indices, japanese.values, strict=True) if i not in sign}
        terms |= zip(chinese.indices, chinese.values, strict=True)
        return SparseVector(tuple(sorted(terms)), tuple(terms[i] for i in sorted(terms)))

    def _model_for(self, text: str) -> qdrant_edge.Bm25:
        unspaced = not text.isascii() and _UNSPACED.search(text)
        return self._multilingual if unspaced else self._words


def _model(tokenizer: qdrant_edge.TokenizerType) -> qdrant_edge.Bm25:
    return qdrant_edge.Bm25(qdrant_edge.Bm25Config(avg_len=_AVERAGE_TOKENS, tokenizer=tokenizer, ascii_folding=True))


def _encodable(text: str) -> str:
    # Rust's strings hold no unpaired surrogates, transcripts may; as a question mark they are no part of a word.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _plain(vector: qdrant_edge.SparseVector) -> SparseVector:
    return SparseVector(tuple(vector.indices), tuple(vector.values))
