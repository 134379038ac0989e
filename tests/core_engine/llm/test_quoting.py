"""What a server quotes of a request does not get into its error's words."""

from __future__ import annotations

import pytest

from core_engine.llm.quoting import without_quotes

ASKED = [
    "SPEAKERS\nA Zephyrine Quillby\n\nCHUNK 1\n1 A: Our model of the lighthouse on Marrow Street must not reach the tokens.",
    "山田太郎さんは東京で会議を開いた。",
]


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("This model's maximum context length is 8192 tokens.", "This model's maximum context length is 8192 tokens."),
        ("Rate limit reached for gpt-5-mini on tokens per min (TPM)", None),
        ("Invalid input: 'the lighthouse on Marrow Street' is flagged", "Invalid input: '…' is flagged"),
        ("flagged: zephyrine quillby a chunk", None),
        ("The prompt of Zephyrine Quillby was refused", "The prompt of … was refused"),
        ("Refused for Quillby.", "Refused for …."),
        ("Zephyrine Quillby is not allowed", "… is not allowed"),
        ("bad word 'lighthouse' found", "bad word '…' found"),
        ("不正な入力: 山田太郎", "不正な入力: …"),
        ("must not reach the tokens", "…"),
        ("", ""),
    ],
)
def test_names_and_quotes_of_the_request_are_left_out(message, left):
    assert without_quotes(message, ASKED) == (message if left is None else left)


def test_without_a_request_nothing_is_left_out():
    assert without_quotes("Zephyrine Quillby", []) == "Zephyrine Quillby"
