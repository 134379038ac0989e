"""Which names of a chunk are said to co-occur."""

from core_engine.kg.rules.cooccurrence import cooccurrences
from core_engine.kg.rules.records import RuleMention


def at(name, turn, start=0, *, speaker=False):
    return RuleMention(name, "Entity", turn, -1 if speaker else start, -1 if speaker else start + len(name), speaker)


def pairs(found):
    return [(found[a].name, found[b].name, turn) for a, b, turn in cooccurrences(found)]


def test_names_of_one_turn_and_of_the_next_co_occur_and_of_farther_ones_do_not():
    found = [at("Ann", 1), at("Bob", 1, 9), at("Oslo", 2), at("HSBC", 4)]
    assert pairs(found) == [("Ann", "Bob", 1), ("Ann", "Oslo", 2), ("Bob", "Oslo", 2)]


def test_a_pair_comes_once_a_chunk_whatever_its_order_and_case():
    found = [at("Ann", 1), at("Bob", 1, 9), at("BOB", 2), at("Ann", 2, 9), at("Bob", 3)]
    assert pairs(found) == [("Ann", "Bob", 1)]


def test_a_name_does_not_co_occur_with_itself():
    assert pairs([at("Ann", 1, speaker=True), at("Ann", 1, 5)]) == []


def test_a_speaker_co_occurs_with_what_it_names():
    assert pairs([at("Ann", 1, speaker=True), at("Oslo", 1, 5)]) == [("Ann", "Oslo", 1)]


def test_the_indexes_are_those_of_first_mentions_the_smaller_first():
    found = [at("Ann", 3), at("Bob", 1), at("Ann", 1, 9)]
    assert cooccurrences(found) == [(0, 1, 1)]


def test_a_list_of_two_hundred_names_does_not_pair_each_with_each():
    found = [at(f"N{i}", 1, i * 5) for i in range(200)]
    assert len(cooccurrences(found)) <= 8 * 200


def test_one_name_said_ten_thousand_times_is_no_work():
    found = [at("Bob", 1, i * 5) for i in range(10_000)]
    assert cooccurrences(found) == []
