"""POST /v1/embeddings: vectors of unit length that depend on the text alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.openai_server.books import Entry
from tests.openai_server.envelope import parse_body, spoil_usage
from tests.openai_server.errors import ApiError, invalid
from tests.openai_server.faults import Strike
from tests.openai_server.models import Model
from tests.openai_server.provider import Provider

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_PARAMETERS = frozenset({"dimensions", "encoding_format", "input", "model", "user"})
_MOST_INPUTS = 2_048
_MOST_TOKENS = 300_000


@dataclass(slots=True)
class AskedVectors:
    """A request that was understood. Inputs given as token ids are told apart by their ids written out."""

    model: Model
    texts: list[str]
    tokens: int
    dimensions: int
    as_base64: bool


class Embeddings:
    """Answers embedding requests for the provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def read(self, body: bytes, entry: Entry) -> AskedVectors:
        """The request, checked as OpenAI checks it."""
        request = parse_body(body)
        entry.model = str(request.get("model") or "")
        self._provider.check_offered("embeddings")
        model = self._provider.model(request.get("model"), embeds=True)
        if unknown := request.keys() - _PARAMETERS:
            raise invalid(f"Unknown parameter: '{min(unknown)}'.", min(unknown), "unknown_parameter")
        self._provider.check_offered(*(name for name in request if request[name] is not None))
        encoding = request.get("encoding_format") or "float"
        if encoding not in {"float", "base64"}:
            raise invalid(f"Invalid value: '{encoding}'. Supported values are: 'float' and 'base64'.",
                          "encoding_format", "invalid_value")  # fmt: skip
        inputs = _inputs(request.get("input"))
        tokens = self._count(inputs, model)
        entry.questions = len(inputs)
        texts = [each if isinstance(each, str) else repr(each) for each in inputs]
        return AskedVectors(model, texts, tokens, _dimensions(request, model), encoding == "base64")

    def _count(self, inputs: Sequence[str | list[int]], model: Model) -> int:
        count = self._provider.count_embedded
        total = 0
        for index, each in enumerate(inputs):
            tokens = count(each) if isinstance(each, str) else len(each)
            if tokens > model.context:
                raise invalid(
                    f"Invalid 'input[{index}]': maximum context length is {model.context} tokens, however you requested "
                    f"{tokens} tokens. Please reduce your prompt.",
                    f"input[{index}]",
                )
            total += tokens
        if total > _MOST_TOKENS:
            message = f"Requested {total} tokens, max {_MOST_TOKENS} tokens per request"
            raise ApiError(400, message, kind="max_tokens_per_request", code="max_tokens_per_request")
        return total

    def answer(self, asked: AskedVectors, strike: Strike | None) -> bytes:
        """The body of a good reply, spoilt if a fault strikes."""
        kind = strike.fault.kind if strike else ""
        targets = strike.targets if strike else ()
        rows = list(unit_vectors(asked.texts, asked.model.name, asked.dimensions))
        for n in targets:
            rows[n] = _spoilt(rows[n], kind)
        items = [_item(index, row, as_base64=asked.as_base64) for index, row in enumerate(rows)]
        if kind == "wrong_order":
            items.reverse()
        if kind == "wrong_count":
            items = [item for n, item in enumerate(items) if n not in targets]
        reply = {
            "object": "list",
            "model": "text-similarity-ada-001" if kind == "other_model" else asked.model.name,
            "usage": {"prompt_tokens": asked.tokens, "total_tokens": asked.tokens},
        }
        spoil_usage(reply, kind)
        return orjson.dumps(reply)[:-1] + b',"data":[' + b",".join(items) + b"]}"


def unit_vectors(texts: Sequence[str], model: str, dimensions: int) -> Vectors:
    """A row for each text. The hash gives as many bytes as asked for, so fewer dimensions are the first of more."""
    import numpy as np

    salt = model.encode()
    size = 2 * dimensions
    found = [hashlib.shake_128(salt + text.encode("utf-8", "surrogatepass")).digest(size) for text in texts]
    rows = np.frombuffer(b"".join(found), dtype="<i2").reshape(len(texts), dimensions).astype("<f4")
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows


def _spoilt(row: Vectors, kind: str) -> Vectors:
    if kind == "wrong_dimension":
        return row[:-1]
    if kind in {"nan", "zeros"}:
        row = row * 0
        if kind == "nan":
            row[0] = float("nan")
    return row


def _item(index: int, row: Vectors, *, as_base64: bool) -> bytes:
    # By hand: a JSON library would escape and copy 8 KB of base64 a vector.
    if as_base64:
        return b'{"object":"embedding","index":%d,"embedding":"%b"}' % (index, base64.b64encode(row.tobytes()))
    return b'{"object":"embedding","index":%d,"embedding":%b}' % (
        index,
        orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY).replace(b"null", b"NaN"),
    )


def _inputs(given: Any) -> list[str | list[int]]:
    """A text, a list of texts, a list of token ids, or a list of those."""
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        given = [given]
    if not isinstance(given, list) or not given:
        raise invalid("'$.input' is invalid. Please check the API reference: "
                      "https://platform.openai.com/docs/api-reference.", "input")  # fmt: skip
    if len(given) > _MOST_INPUTS:
        raise invalid(f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}, but got "
                      f"an array with length {len(given)} instead.", "input", "array_above_max_length")  # fmt: skip
    for index, each in enumerate(given):
        if not isinstance(each, (str, list)):
            raise invalid(f"Invalid type for 'input[{index}]': expected a string.", f"input[{index}]", "invalid_type")
        if not each:
            raise invalid(f"Invalid 'input[{index}]': input cannot be an empty string.", f"input[{index}]")
    return given


def _dimensions(request: Mapping[str, Any], model: Model) -> int:
    assert model.dimensions
    wanted = request.get("dimensions")
    if wanted is None:
        return model.dimensions
    if not isinstance(wanted, int) or not 1 <= wanted <= model.dimensions:
        raise invalid(f"Invalid value for 'dimensions' = {wanted}. Must be between 1 and {model.dimensions}.",
                      "dimensions")  # fmt: skip
    return wanted
