"""A line of a result file of the Batch API."""

from __future__ import annotations

import pytest

from core_engine.llm.batch_api import read_line

_LINE = b'{"custom_id": "q1", "response": {"status_code": 200, "body": {"text": %s}}, "error": null}'


@pytest.mark.parametrize("said", [b'"fine"', b'"half a sign: \\ud83d"', b"NaN", b'"no UTF-8: \xff"'])
def test_what_was_paid_for_is_read_however_it_is_written(said):
    line = read_line(_LINE % said)
    assert (line.custom_id, line.status) == ("q1", 200)


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"[" * 100_000])
def test_what_is_no_line_names_no_question(text):
    assert read_line(text).custom_id == ""
