"""What the rules take for names, on texts written for these tests."""

import random

import pytest

from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.extractor import RULES_VERSION, read, scan
from core_engine.kg.rules.kinds import ROLE
from core_engine.kg.rules.values import VALUES
from core_engine.types import ChunkTurn


def turns(*said):
    """Each either a text or a (speaker, text)."""
    pairs = [(None, each) if isinstance(each, str) else each for each in said]
    return tuple(ChunkTurn(speaker, text, text, i) for i, (speaker, text) in enumerate(pairs))


def found(*said, beside=()):
    """The mentions in one chunk of these turns, in a workspace that also holds the texts `beside`."""
    scans = [scan(turns(*said)), *(scan(turns(text)) for text in beside)]
    casing = Casing()
    for each in scans:
        casing.add(each)
    return read(scans[0], casing).mentions


def names(*said, beside=()):
    return [m.name for m in found(*said, beside=beside) if not m.speaker and m.type not in VALUES and m.type != ROLE]


def test_a_capital_inside_a_sentence_starts_a_name():
    assert names("we met with Priya Raman and then with Lars in Oslo.") == ["Priya Raman", "Lars", "Oslo"]


def test_a_word_that_opens_a_sentence_is_no_name_where_it_is_written_small_elsewhere():
    assert names("Revenue went up. Costs did too.", beside=["the revenue and the costs"]) == []


def test_a_word_that_opens_a_sentence_is_a_name_where_it_keeps_its_capital_elsewhere():
    assert names("Apple was late.", beside=["so I told Apple", "and Apple agreed", "an apple a day"]) == ["Apple"]


def test_a_lone_word_that_opens_a_sentence_and_is_seen_nowhere_else_is_a_name_only_if_somebody_speaks_who_is_so_called():
    assert names("Congratulations. Maria?") == []
    assert names(("Maria Silva", "yes"), ("Bob", "Congratulations. Maria?")) == ["Maria"]


def test_what_hangs_behind_a_name_by_a_hyphen_is_not_part_of_it():
    assert names("an AI-based and Covid-related plan of Coca-Cola") == ["AI", "Covid", "Coca-Cola"]


def test_addresses_are_not_read_for_names():
    assert names("go to example.com/Watch=Abc or write to info@Example, then ask Bob") == ["Bob"]


def test_a_role_is_a_speaker_as_a_whole_and_its_words_are_nobody():
    here = found(("Project Manager", "we ask the Project Manager about Project Phoenix"))
    assert [(m.name, m.type) for m in here if not m.speaker] == [
        ("Project Manager", "Person"),
        ("Project Phoenix", "Entity"),
    ]


def test_function_words_and_fillers_before_a_name_are_not_part_of_it():
    assert names("So Dana said yes. Yeah, Okay, Mm-hmm, Thanks Dana. And The Oslo office.") == ["Dana", "Dana", "Oslo"]


@pytest.mark.parametrize(
    "text",
    [
        "I think I'm fine, and I'll go, as I've said.",
        "Well, um, Uh-huh. Mm. Hmm. Right, Um-hmm, Yeah.",
        "see you on Monday, in March, or in Q3 for CHF30 million, in 2Q or FY21.",
        "Good morning, Ladies and Gentlemen, and Thank You.",
        "we asked the President and the Chief Financial Officer and a Vice President.",
    ],
)
def test_grammar_fillers_dates_amounts_and_offices_are_no_names(text):
    assert names(text) == []


@pytest.mark.parametrize(
    "name",
    [
        "Bank of England",
        "Bank of the West",
        "Johnson & Johnson",
        "Kuehne + Nagel",
        "AT&T",
        "Ludwig van Beethoven",
        "Ursula von der Leyen",
        "Rio de Janeiro",
        "U.S. Steel",
        "J. K. Rowling",
        "First World War",
        "World War I",
        "COVID-19",
        "iPhone 12",
        "eBay",
        "3M",
        "O'Brien",
        "Foods, Inc.",
        "2012 Winter Olympics",
        "Jean-Luc Picard",
        "Übersee Østergård",
        "Анна Каренина",
        "Νίκος Καζαντζάκης",
    ],
)
def test_a_name_of_several_parts_is_found_whole(name):
    assert names(f"they spoke about {name} for an hour") == [name]


def test_somebody_of_a_firm_is_two_names():
    assert names("a question from Carlos Laboy of HSBC, please") == ["Carlos Laboy", "HSBC"]


def test_a_possessive_ends_the_name_and_is_not_part_of_it():
    text = "we like Danaher's Cytiva and Siemens' plant"
    here = found(text)
    assert [mention.name for mention in here] == ["Danaher", "Cytiva", "Siemens"]
    assert [text[mention.start : mention.end] for mention in here] == ["Danaher", "Cytiva", "Siemens"]


def test_acronyms_are_names_also_where_the_small_word_is_common():
    assert names("we ship to the US with IT, and the SEC knows", beside=["tell us if it is"]) == ["US", "IT", "SEC"]


def test_spelled_letters_become_an_acronym():
    assert names("a cheap L_C_D_ screen") == ["LCD"]


def test_a_dash_joins_only_where_the_text_is_written_in_tokens():
    assert names("he wrote for the Courier - Journal , then left .") == ["Courier-Journal"]
    assert names("I asked Dana - Oslo was closed, and so on.") == ["Dana", "Oslo"]


def test_offsets_lead_back_to_the_words_of_the_turn():
    said = ("Good morning. We have Ann Lee here.", "Thanks; Ann\u00a0Lee of the Bank of England, and the U.S. team.")
    here = found(*said)
    assert [said[mention.turn - 1][mention.start : mention.end] for mention in here] == [
        "Ann Lee",
        "Ann\u00a0Lee",
        "Bank of England",
        "U.S.",
    ]
    assert [mention.name for mention in here][1] == "Ann Lee"


def test_a_speaker_is_a_person_mentioned_by_each_of_its_turns():
    here = found(("Ann Lee", "Hello."), ("Speaker 3", "Hi."), ("Ann Lee", "So."))
    assert [(m.name, m.type, m.turn, m.start, m.end) for m in here if m.speaker] == [
        ("Ann Lee", "Person", 1, -1, -1),
        ("Ann Lee", "Person", 3, -1, -1),
        ("Speaker 3", "Person", 2, -1, -1),
    ]


def test_types_are_told_only_where_they_are_sure():
    here = found(
        ("Ann Lee", "then Mr. Gugino of Danaher Corporation met Lee and Bob in Spain, at the University of Oslo."),
        beside=["so then"],
    )
    assert {m.name: m.type for m in here if not m.speaker} == {
        "Gugino": "Person",
        "Danaher Corporation": "Organization",
        "Lee": "Person",
        "Bob": "Entity",
        "Spain": "Place",
        "University of Oslo": "Organization",
    }


def test_whoever_speaks_anywhere_in_the_workspace_is_a_person_everywhere():
    one, other = scan(turns("we hired Quill Marsh, you know")), scan(turns(("Quill Marsh", "hello there")))
    casing = Casing()
    casing.add(one)
    assert [m.type for m in read(one, casing).mentions] == ["Entity"]
    casing.add(other)
    assert [m.type for m in read(one, casing).mentions] == ["Person"]


def test_a_turn_in_capitals_throughout_gives_no_names_and_says_nothing_about_words():
    loud = "PLEASE NOTE THAT THE MEETING ROOM IS CLOSED FOR REVENUE TODAY"
    assert names(loud) == []
    assert names("Revenue fell.", loud, beside=["our revenue"]) == []


CORPUS = [
    "Apple said that the price was high. Then Grace left.",
    "so Apple is an apple, and Grace agreed with the Bank of England.",
    "Price is what you pay. Will said so. I will ask Will Price.",
    "grace under pressure, said Dana of HSBC, at their price.",
]


def test_decisions_are_equal_whatever_order_chunks_came_in():
    scans = [scan(turns(text)) for text in CORPUS]
    answers = set()
    for seed in range(6):
        order = list(scans)
        random.Random(seed).shuffle(order)
        casing = Casing()
        for each in order:
            casing.add(each)
        answers.add(tuple(map(repr, (read(each, casing).mentions for each in scans))))
    assert len(answers) == 1


def test_a_chunk_taken_out_leaves_no_trace_in_the_counts():
    kept, gone = scan(turns("we asked Grace about price")), scan(turns(("Ann Lee", "the grace of Price, Grace.")))
    plain, changed = Casing(), Casing()
    plain.add(kept)
    changed.add(gone)
    changed.add(kept)
    changed.add(gone, sign=-1)
    for word in ("grace", "price", "asked"):
        assert (changed.share(word), changed.lower(word)) == (plain.share(word), plain.lower(word))
    assert repr(changed) == repr(plain)
    assert not changed.is_speaker("Ann Lee")


def test_a_scan_depends_on_nothing_but_its_chunk():
    chunk = turns(("Ann", "we met Bob in Oslo"), "Bob was late.")
    assert scan(chunk) == scan(chunk)
    assert RULES_VERSION == 2  # a scan that answers otherwise needs the next number


def test_no_text_is_too_strange():
    strange = "\x00Bob\ud800 met \x1b[31m Ann\x1b[0m; <|endoftext|> DROP TABLE \u202eOslo\u202c, ' OR 1=1"
    here = found(("A\ud800nn Lee", strange), ("", ""), (None, ""))
    assert here[0].name == "A\ud800nn Lee"
    assert {"Bob", "Ann", "Oslo"} <= {mention.name for mention in here}
    assert found() == ()


@pytest.mark.parametrize(
    "unit", ["A", "A ", "a", "A.", "A-", "A of ", "2010 A ", "Ab' ", "$5 Bob ", ". ", '"A', "1", "T_ ", "a-"]
)
def test_a_turn_of_200_000_characters_without_sense_is_read(unit):
    text = (unit * 200_000)[:200_000]
    one = scan(turns(text))
    casing = Casing()
    casing.add(one)
    assert len(read(one, casing).mentions) <= 200_000
