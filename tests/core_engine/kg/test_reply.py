"""Whatever a model replies, each chunk of the batch has its own answer or a reason why not."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.kg.reply import parse

ONE = {"c": 1, "e": [["Ann Lee", "Person"], ["Acme", "Organization"]], "r": [["0", "works_at", "1", "2"]]}
TWO = {"c": 2, "e": [], "r": []}
GOOD = {"chunks": [ONE, TWO]}
ANSWER = {"e": [["Ann Lee", "Person"], ["Acme", "Organization"]], "r": [[0, "works_at", 1, 2]]}
EMPTY = {"e": [], "r": []}


def answers(text: str, chunks: int = 2) -> dict:
    parsed = parse(text, chunks)
    check(parsed, chunks)
    return {number: orjson.loads(answer) for number, answer in parsed.answers.items()}


def check(parsed, chunks):
    """Each chunk is accounted for once, and each answer is clean."""
    assert sorted([*parsed.answers, *parsed.problems]) == list(range(1, chunks + 1))
    for answer in map(orjson.loads, parsed.answers.values()):
        assert set(answer) <= {"e", "r", "d"}
        assert len(answer["e"]) <= 200
        assert len(answer["r"]) <= 400
        for name, kind in answer["e"]:
            assert 0 < len(name) <= 300
            assert kind
            assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in name + kind)
        for subject, kind, target, turn in answer["r"]:
            assert subject != target
            assert 0 <= subject < len(answer["e"])
            assert 0 <= target < len(answer["e"])
            assert kind
            assert turn >= 0


def chunk(entities, relations=(), number=1):
    return json.dumps({"chunks": [{"c": number, "e": list(entities), "r": list(relations)}]})


def one(entities, relations=()):
    return answers(chunk(entities, relations), 1)[1]


def test_a_good_reply_is_taken_as_it_is():
    parsed = parse(json.dumps(GOOD), 2)
    assert answers(json.dumps(GOOD)) == {1: ANSWER, 2: EMPTY}
    assert (parsed.problems, parsed.repaired, parsed.invalid) == ({}, "", "")


def test_numbers_may_be_integers():
    assert one(ONE["e"], [[0, "works_at", 1, 2]]) == ANSWER


def test_a_chunk_number_may_be_text():
    assert answers(json.dumps({"chunks": [{**ONE, "c": "1"}, TWO]}))[1] == ANSWER


def test_a_chunk_without_relationships_may_leave_them_out():
    assert answers('{"chunks":[{"c":1,"e":[]},{"c":2,"e":[],"r":null}]}') == {1: EMPTY, 2: EMPTY}


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("```json\n{}\n```", "fenced"),
        ("```\n{}\n```\nAnything else?", "fenced"),
        ("Here {{you}} are:\n{}\nThat is all.", "prose"),
        ('<think>{{"chunks": [draft]</think>{}', "prose"),
        ("\ufeff{}", "lenient"),
        ("\x00\x00{}\x00", "lenient"),
    ],
)
def test_what_stands_around_the_json_is_no_harm(text, repaired):
    text = text.replace("{}", json.dumps(GOOD)).replace("{{", "{").replace("}}", "}")
    if "draft" in text or "you" in text:
        text = text.replace("]]}", "]]}")
    assert answers(text) == {1: ANSWER, 2: EMPTY}
    assert parse(text, 2).repaired == repaired


def test_the_last_answer_counts_where_a_draft_stands_before_it():
    draft = json.dumps({"chunks": [{**ONE, "e": [["Draft", "Person"]], "r": []}, TWO]})
    assert answers(f"{draft} No, better: {json.dumps(GOOD)}")[1] == ANSWER


def test_the_envelope_may_be_missing():
    assert answers(json.dumps([ONE, TWO])) == {1: ANSWER, 2: EMPTY}
    assert answers(json.dumps(ONE), 1) == {1: ANSWER}
    assert answers("```json\n" + json.dumps([ONE, TWO]) + "\n```") == {1: ANSWER, 2: EMPTY}
    assert answers(json.dumps(ONE) + "\n" + json.dumps(TWO)) == {1: ANSWER, 2: EMPTY}


def test_whole_chunks_of_a_truncated_reply_are_kept():
    text = json.dumps(GOOD)
    for length in range(len(text)):
        got = answers(text[:length])
        assert got.get(1, ANSWER) == ANSWER
        if length > text.index('{"c": 2'):
            assert 1 in got
            assert parse(text[:length], 2).problems == ({} if 2 in got else {2: "left_out"})
    assert parse(text[:-9], 2).repaired == "truncated"


def test_a_broken_chunk_takes_no_other_down():
    text = '{"chunks":[{"c":1,"e":[["A","Person"]],"r":[]},{"c":2,"e":[[oops]],"r":[]},{"c":3,"e":[],"r":[]}]}'
    parsed = parse(text, 3)
    assert sorted(parsed.answers) == [1, 3]
    assert parsed.problems == {2: "left_out"}
    assert parsed.repaired == "salvaged"


@pytest.mark.parametrize(
    "bad", [{"c": 2}, {"c": 2, "e": {}, "r": []}, {"c": 2, "e": [], "r": "x"}, {"c": 2, "e": None}]
)
def test_a_chunk_of_the_wrong_shape_takes_no_other_down(bad):
    parsed = parse(json.dumps({"chunks": [ONE, bad, "junk", None, 7]}), 2)
    assert list(parsed.answers) == [1]
    assert parsed.problems == {2: "bad_shape"}
    assert not parsed.invalid


def test_a_chunk_that_is_left_out_is_named():
    assert parse(json.dumps({"chunks": [TWO]}), 3).problems == {1: "left_out", 3: "left_out"}
    assert parse('{"chunks":[]}', 1).problems == {1: "left_out"}


def test_the_same_answer_twice_is_one_answer():
    assert answers(json.dumps({"chunks": [ONE, TWO, ONE]}))[1] == ANSWER


def test_two_different_answers_to_a_chunk_are_none():
    parsed = parse(json.dumps({"chunks": [ONE, TWO, {**ONE, "e": [], "r": []}]}), 2)
    assert list(parsed.answers) == [2]
    assert parsed.problems == {1: "answered_twice_differently"}


@pytest.mark.parametrize("numbers", [(2, 3), (0, 2), (101, 102), (-1, -2), (None, None)])
def test_answers_under_wrong_numbers_are_given_to_no_chunk(numbers):
    parsed = parse(json.dumps({"chunks": [{**ONE, "c": n} for n in numbers]}), 2)
    assert not parsed.answers
    assert parsed.problems == {1: "wrong_numbers", 2: "wrong_numbers"}
    assert parsed.invalid == "wrong_numbers"


def test_a_stray_number_beside_the_right_ones_is_no_harm():
    assert sorted(answers(json.dumps({"chunks": [ONE, TWO, {**ONE, "c": 17}]}))) == [1, 2]


def test_a_whole_batch_counted_from_zero_is_renumbered():
    text = json.dumps({"chunks": [{**ONE, "c": 0}, {**TWO, "c": 1}]})
    assert answers(text) == {1: ANSWER, 2: EMPTY}
    assert parse(text, 2).repaired == "renumbered"


def test_the_only_chunk_asked_about_may_have_any_number():
    assert answers(json.dumps({"chunks": [{**ONE, "c": 7}]}), 1) == {1: ANSWER}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\x00", "empty"),
        ("I can't help with that.", "invalid_json"),
        ("{", "invalid_json"),
        ('{"chunks":', "invalid_json"),
        ("null", "wrong_schema"),
        ("[]", "wrong_schema"),
        ('"text"', "wrong_schema"),
        ('{"entities":[]}', "wrong_schema"),
        ('{"chunks":{"c":1}}', "wrong_schema"),
        ('{"chunks":[1,"x"]}', "wrong_schema"),
        ('{"chunks":[{"c":1,"e":1}]}', "wrong_schema"),
        ("<html><body>502</body></html>", "invalid_json"),
    ],
)
def test_a_reply_of_no_use_says_why(text, reason):
    parsed = parse(text, 2)
    check(parsed, 2)
    assert not parsed.answers
    assert parsed.invalid == reason


def test_bad_entities_are_dropped_one_by_one_and_counted():
    got = one(
        [
            ["A", "X"],
            "junk",
            ["B"],
            ["C", 3],
            ["\x00", "X"],
            ["y" * 301, "X"],
            ["D", "Z"],
            ["E", "t" * 65],
            ["F", "G", "H"],
        ],
        [["0", "p", "6", "1"], ["0", "p", "1", "1"]],
    )
    assert got["e"] == [["A", "X"], ["D", "Z"]]
    assert got["r"] == [[0, "p", 1, 1]]
    assert got["d"] == {"bad_entity": 5, "empty_name": 1, "lost_end": 1, "name_too_long": 1}


def test_bad_relationships_are_dropped_one_by_one_and_counted():
    entities = [["A", "X"], ["B", "X"]]
    good = ["0", "p", "1", "1"]
    bad = [["0", "p", "2", "1"], ["-1", "p", "1", "1"], ["0", "p", "0", "1"], ["0", "p"], "junk", [0.5, "p", 1, 1]]
    bad += [
        ["0", "", "1", "1"],
        ["0", None, "1", "1"],
        [True, "p", 0, 1],
        ["9" * 5000, "p", "1", "1"],
        ["²", "p", "1", "1"],
    ]
    got = one(entities, [*bad, good])
    assert got["r"] == [[0, "p", 1, 1]]
    assert got["d"] == {"bad_relation": 8, "index_out_of_range": 2, "self_relation": 1}


def test_an_end_may_be_written_as_its_name():
    assert one(ONE["e"], [["Ann Lee", "works_at", "Acme", "2"]]) == ANSWER


@pytest.mark.parametrize("turn", ["x", "", "-3", None, 1.5, "9" * 40, 10**30])
def test_a_turn_that_is_no_number_is_none(turn):
    assert one([["A", "X"], ["B", "X"]], [["0", "p", "1", turn]])["r"] == [[0, "p", 1, 0]]


def test_an_entity_named_twice_is_one():
    got = one([["A", "X"], ["A", "X"], ["B", "X"]], [["1", "p", "2", "1"], ["0", "p", "2", "1"], ["0", "p", "1", "1"]])
    assert got["e"] == [["A", "X"], ["B", "X"]]
    assert got["r"] == [[0, "p", 1, 1]]
    assert got["d"] == {"self_relation": 1}


def test_what_no_store_can_hold_is_taken_out_of_names():
    raw = '{"chunks":[{"c":1,"e":[["A\\u0000c\\ud800me\\n Inc","X\\u0007"]],"r":[]}]}'
    assert answers(raw, 1)[1]["e"] == [["Acme Inc", "X"]]
    assert parse(raw, 1).repaired == "lenient"
    assert answers('{"chunks":[{"c":1,"e":[["A\x00c\nme","X"]],"r":[]}]}', 1)[1]["e"] == [["Ac me", "X"]]
    assert answers('{"chunks":[{"c":1,"e":[["A\ud800","X"]],"r":[]}]}', 1)[1]["e"] == [["A", "X"]]


def test_far_too_much_is_cut_and_counted():
    got = one([[f"N{n}", "X"] for n in range(10_000)], [["0", "p", str(1 + n % 9_000), str(n)] for n in range(3_000)])
    assert len(got["e"]) == 200
    assert got["d"]["too_many_entities"] == 9_800
    assert got["d"]["too_many_relations"] == 2_600
    assert got["d"]["lost_end"] == 201


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"chunks":' * 100_000,
        '{"c":' * 200_000,
        '{"c":"' * 150_000,
        '{"chunks":[{"c":1,"e":' + "[" * 500_000,
        '{"chunks":[{"c":1,"e":[["' + "x" * 1_000_000,
        '{"chunks":[{"c":1,"e":[["' + "x" * 1_000_000 + '","X"]],"r":[]}]}',
        '{"chunks":[{"c":' + "9" * 1_000_000 + ',"e":[],"r":[]}]}',
        "```json " * 100_000,
        "{" + " " * 1_000_000,
        "{ " * 500_000,
        '{"c":1,"e":[oops' * 60_000,
    ],
    ids=range(12),
)
def test_hostile_replies_are_neither_slow_nor_harmful(text):
    began = time.process_time()
    check(parse(text, 3), 3)
    assert time.process_time() - began < 2


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "1", "c", "e"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["c", "e", "r", "chunks"]), inner),
    max_leaves=20,
)
rows = st.lists(
    st.lists(st.text(max_size=5) | st.integers(-2, 5) | st.sampled_from(["0", "1", "2"]), max_size=5) | json_values
)
chunk_objects = st.fixed_dictionaries(
    {"c": st.integers(-1, 5) | json_values, "e": rows | json_values, "r": rows | json_values}
)


@given(st.text(), st.integers(0, 5))
def test_any_text_accounts_for_each_chunk(text, chunks):
    check(parse(text, chunks), chunks)


@given(json_values, st.integers(0, 5))
def test_any_json_accounts_for_each_chunk(value, chunks):
    check(parse(json.dumps(value), chunks), chunks)


@given(st.lists(chunk_objects, max_size=6), st.integers(0, 5), st.integers(0, 400), st.text(max_size=10))
def test_any_list_of_answers_cut_anywhere_accounts_for_each_chunk(objects, chunks, length, around):
    text = json.dumps({"chunks": objects})
    check(parse(text, chunks), chunks)
    check(parse(around + text[:length] + around, chunks), chunks)
