"""What a chunk adds to the graph is what its words support, with the turn and time that say so."""

from __future__ import annotations

import json
from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.identity import atom_id
from core_engine.kg.derive import LONGEST_QUOTE, Derived, derive, derive_rules
from core_engine.kg.ontology import Ontology
from core_engine.kg.reply import parse
from core_engine.types import GRADES, Chunk, ChunkTurn

ONTOLOGY = Ontology.default()


def chunk(*turns: tuple[str | None, str], context: tuple[tuple[str | None, str], ...] = ()) -> Chunk:
    cut = tuple(
        ChunkTurn(who, text, text, number, 10.0 * number, 10.0 * number + 5) for number, (who, text) in enumerate(turns)
    )
    return Chunk("chunk", "doc", 0, cut, context)


TALK = chunk(
    ("Ann Lee", "I talked to Raj Patel at Acme yesterday"),
    ("Project Manager", "Good. So send it to him by Friday"),
    (None, "Acme is in the U.S., and Raj Patel left"),
)


def said(talk: Chunk, entities, relations=(), **dropped) -> Derived:
    payload = {"e": entities, "r": relations} | ({"d": dropped} if dropped else {})
    return derive("ws", talk, orjson.dumps(payload), ONTOLOGY)


def names(derived: Derived) -> dict[str, str]:
    return {mention.name: mention.type for mention in derived.mentions}


def facts(derived: Derived) -> list[tuple[str, str, str, int]]:
    by_atom = {mention.atom: mention.name for mention in derived.mentions}
    return [(by_atom[s.subject], s.predicate, by_atom[s.object], s.turn) for s in derived.statements]


def test_a_supported_fact_has_its_words_speaker_and_time():
    derived = said(TALK, [["Raj Patel", "Person"], ["Acme", "Organization"]], [[0, "works_at", 1, 1]])
    assert facts(derived) == [("Raj Patel", "works_at", "Acme", 1)]
    [statement] = derived.statements
    assert statement.quote == TALK.turns[0].raw
    assert (statement.speaker, statement.start, statement.end) == ("Ann Lee", 0.0, 5.0)
    assert derived.dropped == {}


def test_a_mention_has_its_turns_places_and_first_time():
    derived = said(TALK, [["acme", "ORG"]])
    [acme] = [mention for mention in derived.mentions if mention.norm == "acme"]
    assert (acme.name, acme.type, acme.scope) == ("Acme", "Organization", "")
    assert (acme.turns, acme.offsets) == ((1, 3), ((1, 25), (3, 0)))
    assert (acme.start, acme.end) == (0.0, 5.0)
    assert acme.atom == atom_id("ws", "", "acme")


def test_speakers_are_people_even_if_the_model_left_them_out():
    derived = said(TALK, [])
    assert names(derived) == {"Ann Lee": "Person", "Project Manager": "Person"}
    ann, manager = derived.mentions
    assert (ann.turns, ann.scope, ann.offsets) == ((1,), "", ())
    assert (manager.turns, manager.scope) == ((2,), "doc")


def test_a_speaker_whose_turns_were_all_cleaned_away_is_not_there():
    assert names(said(chunk(("Ann", ""), ("???", "hi"), ("Bob", "hi")), [])) == {"Bob": "Person"}


def test_a_speaker_is_one_entity_whatever_the_model_calls_the_type():
    derived = said(TALK, [["ann lee", "Alien"], ["Acme", "Company"]], [[0, "knows", 0, 1], [0, "works_at", 1, 1]])
    assert names(derived) == {"Ann Lee": "Person", "Project Manager": "Person", "Acme": "Organization"}
    assert facts(derived) == [("Ann Lee", "works_at", "Acme", 1)]
    assert derived.dropped == {"self_relation": 1}


def test_a_role_that_is_talked_about_is_not_the_speaker_who_has_it_as_label():
    talk = chunk(("Project Manager", "We need a project manager"), ("Ann Lee", "Ann Lee is me"))
    derived = said(talk, [["project manager", "Role"]])
    assert [(m.type, m.scope, m.turns, m.offsets) for m in derived.mentions] == [
        ("Person", "doc", (1,), ()),
        ("Person", "", (2,), ((2, 0),)),
        ("Role", "", (1,), ((1, 10),)),
    ]


def test_the_invented_is_dropped_and_counted():
    derived = said(
        TALK,
        [
            ["Zoe Quill", "Person"],
            ["Raj Patel", "Person"],
            ["Acme", "Planet"],
            ["A", "Person"],
            ["I", "Person"],
            ["us", "Organization"],
        ],
        [[0, "knows", 1, 1], [1, "works_at", 2, 1]],
    )
    assert set(names(derived)) == {"Ann Lee", "Project Manager", "Raj Patel"}
    assert derived.statements == ()
    assert derived.dropped == {
        "unsupported_entity": 2,
        "type_outside_ontology": 1,
        "pronoun": 2,
        "unsupported_end": 2,
    }


def test_what_the_ontology_does_not_allow_is_dropped_and_counted():
    derived = said(
        TALK,
        [["Raj Patel", "Person"], ["Acme", "Organization"]],
        [[1, "works_at", 0, 1], [0, "orbits", 1, 1], [0, "WORKS FOR", 1, 1]],
    )
    assert facts(derived) == [("Raj Patel", "works_at", "Acme", 1)]
    assert derived.dropped == {"ends_not_allowed": 1, "type_outside_ontology": 1}


def test_what_was_dropped_before_is_counted_too():
    assert said(TALK, [["Nowhere", "Place"]], unsupported_entity=1, bad_entity=2).dropped == {
        "unsupported_entity": 2,
        "bad_entity": 2,
    }


def test_two_spellings_of_a_name_are_one_mention():
    derived = said(TALK, [["US", "Place"], ["the U.S.", "Place"], ["U.S", "Organization"]], [[0, "part_of", 1, 3]])
    [us] = [mention for mention in derived.mentions if mention.norm == "us"]
    assert (us.name, us.type, us.turns) == ("U.S.", "Place", (3,))
    assert derived.dropped == {"self_relation": 1}


def test_a_lone_given_name_stays_within_its_document():
    derived = said(chunk((None, "Ann called")), [["Ann", "Person"]])
    assert [(m.scope, m.atom) for m in derived.mentions] == [("doc", atom_id("ws", "doc", "ann"))]


RAJ_AT_ACME = [["Raj Patel", "Person"], ["Acme", "Organization"]]


@pytest.mark.parametrize(
    ("cited", "turn", "grade"), [(1, 1, "exact"), (2, 2, "inferred"), (3, 3, "exact"), (0, 1, "inferred")]
)
def test_the_cited_turn_counts_and_where_none_is_given_the_first_that_will_do(cited, turn, grade):
    derived = said(TALK, RAJ_AT_ACME, [[0, "works_at", 1, cited]])
    assert facts(derived) == [("Raj Patel", "works_at", "Acme", turn)]
    assert [statement.grade for statement in derived.statements] == [grade]
    assert derived.graded["r"] == {"works_at": graded(grade)}


def test_a_turn_that_is_not_there_states_nothing():
    derived = said(TALK, RAJ_AT_ACME, [[0, "works_at", 1, 9]])
    assert (derived.statements, derived.dropped) == ((), {"no_evidence": 1})


FAR = [("Bob", "Raj Patel works at Acme"), *[("Eve", "nothing here")] * 4, ("Bob", "Zeta too")]


@pytest.mark.parametrize("cited", [3, 4, 5, 6])
def test_a_citation_further_than_one_turn_from_the_names_is_none(cited):
    derived = said(chunk(*FAR), RAJ_AT_ACME, [[0, "works_at", 1, cited]])
    assert (derived.statements, derived.dropped) == ((), {"no_evidence": 1})
    assert derived.graded["r"] == {"works_at": graded("unsupported")}


def test_turns_of_which_cleaning_left_nothing_do_not_stand_between():
    silent = [(ChunkTurn("Eve", "uh-huh", "", number)) for number in (1, 2)]
    turns = (ChunkTurn(None, "Raj Patel left", "Raj Patel left", 0), *silent, ChunkTurn(None, "Acme", "Acme", 3))
    derived = said(Chunk("c", "doc", 0, turns), RAJ_AT_ACME, [[0, "works_at", 1, 4]])
    assert [(s.turn, s.grade) for s in derived.statements] == [(4, "inferred")]


def test_who_speaks_is_meant_by_i_and_you():
    talk = chunk(("Ann Lee", "I joined Acme"), ("Bob Marsh", "So you like it there"), ("Eve", "Acme is fine"))
    ends = [["Ann Lee", "Person"], ["Acme", "Organization"]]
    derived = said(talk, ends, [[0, "works_at", 1, cited] for cited in (1, 2, 3)])
    assert [(s.turn, s.grade) for s in derived.statements] == [(1, "inferred"), (2, "inferred")]


def test_what_was_said_right_before_the_chunk_is_a_neighbour_of_its_first_turn():
    talk = chunk(
        (None, "They hired Raj Patel"), (None, "Raj Patel left"), context=((None, "Acme?"), ("Bob", "Acme, yes"))
    )
    derived = said(talk, RAJ_AT_ACME, [[0, "works_at", 1, 1]])
    assert [(s.turn, s.grade) for s in derived.statements] == [(1, "inferred")]
    [acme] = [m for m in derived.mentions if m.norm == "acme"]
    assert (acme.turns, acme.offsets, acme.grade) == ((1,), (), "inferred")
    assert derived.graded == {
        "e": {"Person": graded("exact"), "Organization": graded("inferred")},
        "r": {"works_at": graded("inferred")},
    }
    both = said(talk, RAJ_AT_ACME, [[0, "works_at", 1, 1], [0, "works_at", 1, 2]])
    assert [(s.turn, s.grade) for s in both.statements] == [(1, "inferred")]  # of turn 2 it is no neighbour
    later = said(talk, RAJ_AT_ACME, [[0, "works_at", 1, 2]])
    assert (later.statements, later.dropped) == ((), {"unsupported_end": 1, "unsupported_entity": 1})
    assert [m.norm for m in later.mentions] == ["raj patel"]


def test_a_name_that_is_misheard_spelled_or_inflected_is_aligned():
    talk = chunk((None, "Kestren ships twenty-five prototypes"), (None, "for five million dollars"))
    answer = [["Kestrin", "Organization"], ["25 prototype", "Product"], ["$5 million", "Money"]]
    derived = said(talk, answer, [[0, "makes", 1, 1]])
    assert [(m.name, m.grade, m.offsets) for m in derived.mentions] == [
        ("Kestrin", "aligned", ((1, 0),)),
        ("25 prototype", "aligned", ((1, 14),)),
        ("$5 million", "aligned", ((2, 4),)),
    ]
    assert [(s.grade, s.turn) for s in derived.statements] == [("aligned", 1)]


def test_of_two_names_in_the_words_none_is_a_slip_of_the_other():
    talk = chunk((None, "Sanford called"))
    assert names(said(talk, [["Stanford", "Organization"]])) == {"Stanford": "Organization"}
    both = said(talk, [["Stanford", "Organization"], ["Sanford", "Person"]])
    assert names(both) == {"Sanford": "Person"}
    assert both.dropped == {"unsupported_entity": 1}


def test_the_unsupported_is_kept_where_that_is_asked_for():
    payload = {
        "e": [["Zoe Quill", "Person"], ["Acme", "Organization"], ["A", "Person"], ["...", "Topic"]],
        "r": [[0, "works_at", 1, 2], [0, "works_at", 1, 9]],
    }
    derived = derive("ws", TALK, orjson.dumps(payload), ONTOLOGY, keep_unsupported=True)
    [zoe] = [m for m in derived.mentions if m.norm == "zoe quill"]
    assert (zoe.grade, zoe.turns, zoe.offsets, zoe.start) == ("unsupported", (), (), None)
    assert [(s.turn, s.grade, s.quote) for s in derived.statements] == [
        (2, "unsupported", TALK.turns[1].raw),
        (0, "unsupported", ""),
    ]
    assert derived.dropped == {"empty_name": 1}
    # Counted as what it is, kept or not.
    assert derived.graded == derive("ws", TALK, orjson.dumps(payload), ONTOLOGY).graded


def graded(*grades: str) -> list[int]:
    return [grades.count(grade) for grade in GRADES]


@pytest.mark.parametrize(
    "name",
    ["x" * 10_000, "word " * 2_000, "1" * 10_000, "one " * 2_000, "\U0001f680", "\U0001f680 Rocket", "...", "\u200b", "北京大学",
     "Ελλάδα", "Москва", "القاهرة", "ירושלים", "กรุงเทพ", "서울", "हिन्दी", "a\u0301" * 5_000],
)  # fmt: skip
@pytest.mark.parametrize("keep", [False, True])
def test_names_of_every_kind_are_taken_as_they_are(name, keep):
    spoken = chunk((None, f"We saw {name} there"), ("\U0001f680", "and " + name.lower()))
    for talk in (spoken, TALK):
        answer = {"e": [[name, "Topic"], [name, "Person"], ["Acme", "Organization"]], "r": [[1, "works_at", 2, 1]]}
        derived = derive("ws", talk, json.dumps(answer).encode(), ONTOLOGY, keep_unsupported=keep)
        assert all(mention.norm for mention in derived.mentions)
        assert all(mention.grade in GRADES for mention in derived.mentions)


def test_a_fact_whose_names_are_nowhere_near_what_it_cites_is_dropped():
    derived = said(chunk(*FAR), [["Raj Patel", "Person"], ["Zeta", "Organization"]], [[0, "works_at", 1, 4]])
    assert derived.statements == ()
    assert derived.dropped == {"no_evidence": 1}


def test_a_fact_is_stated_once_a_turn():
    relations = [[0, "works_at", 1, 1], [0, "works_for", 1, 1], [0, "works_at", 1, 3]]
    derived = said(TALK, [["Raj Patel", "Person"], ["Acme", "Organization"]], relations)
    assert [statement.turn for statement in derived.statements] == [1, 3]


def test_who_spoke_right_before_is_known_by_the_full_name():
    talk = chunk((None, "Thanks, Bob. Raj?"), context=(("Bob Marsh", "That was it"),))
    derived = said(talk, [["Bob Marsh", "Person"], ["Raj Patel", "Person"]])
    assert [(m.name, m.norm, m.scope, m.offsets) for m in derived.mentions] == [
        ("Bob Marsh", "bob marsh", "", ((1, 8),))
    ]
    assert derived.dropped == {"unsupported_entity": 1}


def test_a_long_turn_is_quoted_around_the_names():
    text = "word " * 200 + "Raj Patel works at Acme now " + "more " * 200
    derived = said(chunk((None, text)), [["Raj Patel", "Person"], ["Acme", "Organization"]], [[0, "works_at", 1, 1]])
    [statement] = derived.statements
    assert "Raj Patel works at Acme" in statement.quote
    assert statement.quote in text
    assert len(statement.quote) <= LONGEST_QUOTE


def test_another_ontology_names_its_own_persons():
    ontology = Ontology.parse('[entities.Human]\naliases = ["Person"]')
    derived = derive("ws", chunk(("Ann", "I saw Bob")), b'{"e":[["Bob","human"]],"r":[]}', ontology)
    assert [(m.name, m.type, m.scope) for m in derived.mentions] == [("Ann", "Human", "doc"), ("Bob", "Human", "doc")]


texts = st.text(max_size=30) | st.sampled_from(["Ann Lee met Raj Patel", "Acme", "at Acme's in the U.S.", ""])
entities = st.lists(
    st.tuples(
        st.sampled_from(["Ann Lee", "Acme", "US", "Raj Patel", "\x00", "A"]) | st.text(max_size=8),
        st.sampled_from(["Person", "ORG", "Place", "X"]),
    ),
    max_size=6,
)
relations = st.lists(
    st.tuples(
        st.integers(-1, 6),
        st.sampled_from(["works_at", "knows", "located_in", "x"]),
        st.integers(-1, 6),
        st.integers(-1, 6),
    ),
    max_size=6,
)


@given(
    st.lists(st.tuples(st.none() | st.sampled_from(["Ann Lee", "PM"]) | st.text(max_size=5), texts), max_size=4),
    entities,
    relations,
)
def test_whatever_a_model_says_only_what_the_words_hold_comes_out(turns, said_entities, said_relations):
    talk = chunk(*turns)
    reply = parse(orjson.dumps({"chunks": [{"c": 1, "e": said_entities, "r": said_relations}]}).decode(), 1)
    derived = derive("ws", talk, reply.answers[1], ONTOLOGY)
    atoms = {mention.atom for mention in derived.mentions}
    assert len(atoms) == len(derived.mentions)
    for mention in derived.mentions:
        assert mention.turns
        assert mention.norm
        assert all(0 <= at < len(talk.turns[turn - 1].raw) for turn, at in mention.offsets)
    for statement in derived.statements:
        assert {statement.subject, statement.object} <= atoms
        assert statement.quote in talk.turns[statement.turn - 1].raw
    kept = len(derived.statements) + sum(derived.dropped.values())
    assert kept <= len(said_entities) + len(said_relations)


# --- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    name: str
    type: str
    turn: int
    start: int = -1
    end: int = -1
    speaker: bool = False


def test_names_found_by_rules_become_mentions_and_pairs():
    found = [
        Found("Ann Lee", "Person", 1, speaker=True),
        Found("Project Manager", "Person", 2, speaker=True),
        Found("Raj Patel", "Entity", 1, 12, 21),
        Found("Acme", "Organization", 1, 25, 29),
        Found("Acme", "Organization", 3, 0, 4),
        Found("...", "Entity", 1, 0, 1),
    ]
    derived = derive_rules("ws", TALK, found, [], [(2, 3, 1), (4, 2, 1), (0, 2, 1), (3, 4, 1), (5, 2, 1)], ONTOLOGY)
    assert names(derived) == {
        "Ann Lee": "Person",
        "Project Manager": "Person",
        "Raj Patel": "Entity",
        "Acme": "Organization",
    }
    atoms = {mention.name: mention.atom for mention in derived.mentions}
    assert derived.cooccurrences == tuple(
        sorted(tuple(sorted((atoms[a], atoms["Raj Patel"]))) for a in ("Acme", "Ann Lee"))
    )
    [acme] = [mention for mention in derived.mentions if mention.name == "Acme"]
    assert (acme.turns, acme.offsets, acme.start) == ((1, 3), ((1, 25), (3, 0)), 0.0)


def test_a_name_that_the_rules_know_once_as_a_person_is_one_throughout_the_chunk():
    talk = chunk((None, "Mr. Marsh came"), (None, "Marsh left"))
    derived = derive_rules(
        "ws", talk, [Found("Marsh", "Entity", 2, 0, 5), Found("Marsh", "Person", 1, 4, 9)], [], [], ONTOLOGY
    )
    assert [(m.type, m.scope, m.turns) for m in derived.mentions] == [("Person", "doc", (1, 2))]


def test_places_found_by_rules_are_those_of_the_raw_words():
    turn = ChunkTurn(None, "um uh Acme", "Acme", 0, cuts=((0, 6),))
    derived = derive_rules("ws", Chunk("c", "d", 0, (turn,)), [Found("Acme", "Entity", 1, 0, 4)], [], [], ONTOLOGY)
    assert derived.mentions[0].offsets == ((1, 6),)
