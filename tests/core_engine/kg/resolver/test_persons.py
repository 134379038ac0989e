"""Which persons' names one document shows to be one."""

from __future__ import annotations


def test_a_given_name_and_a_surname_are_the_one_of_that_name_in_the_document(world):
    world.write(
        "a",
        """
        Ann Lee: Wei Chen did it. Thank you, Wei.
        Bob Marsh: Dr. Chen always does it, Ann.
        """,
        Person=["Wei Chen", "Wei", "Dr. Chen", "Ann"],
    )
    world.resolve()
    assert world.groups() == {frozenset({"wei chen", "wei@a", "chen@a"}), frozenset({"ann lee", "ann@a"})}
    assert world.reasons("wei@a", "wei chen") == {"given_name"}
    assert world.reasons("chen@a", "wei chen") == {"surname"}


def test_a_name_that_two_bear_is_left_apart_and_asked_about(world):
    world.write(
        "a",
        """
        Michael Cole: I am of Opal.
        Michael Hart: And I am of Fenwick.
        Greta Olsen: Michael, who pays?
        """,
        Person=["Michael"],
    )
    world.resolve()
    assert world.groups() == set()
    assert {frozenset({"michael", "michael cole"}), frozenset({"michael", "michael hart"})} <= world.candidates()


def test_a_lone_name_means_another_in_each_document(world):
    world.write("a", "Michael Cole: Yes.\nGreta Olsen: Michael said so.", Person=["Michael"])
    world.write("b", "Michael Hart: No.\nPaolo Ferri: Michael said so.", Person=["Michael"])
    world.resolve()
    assert world.groups() == {frozenset({"michael cole", "michael@a"}), frozenset({"michael hart", "michael@b"})}


def test_who_speaks_under_a_lone_name_is_not_taken_for_somebody_who_is_mentioned(world):
    # Somebody is called by the full name to tell him from the one who sits there.
    world.write("a", "Michael: The boards are late.\nJo: Michael Brandt says so too.", Person=["Michael Brandt"])
    world.resolve()
    assert world.groups() == set()
    assert frozenset({"michael", "michael brandt"}) in world.candidates()


def test_who_says_a_name_of_his_own_is_that_person(world):
    world.write(
        "a",
        """
        Speaker 1: Hello, my name is Gail Norwood, I call from Brightwater.
        Speaker 2: Hi, this is Hugo Prins. What can I do, Gail?
        Host: I'm Fleur Adan.
        """,
        Person=["Gail Norwood", "Hugo Prins", "Gail", "Fleur Adan"],
    )
    world.resolve()
    assert world.together("speaker 1@a", "gail norwood", "gail@a")
    assert world.together("speaker 2@a", "Hugo Prins")
    assert world.together("host@a", "fleur adan")
    assert world.reasons("host@a", "fleur adan") == {"introduced"}


def test_who_introduces_another_is_not_that_person(world):
    world.write(
        "a",
        """
        Host: Welcome. And this is Wei Chen, our engineer.
        Speaker 2: I'm Ann Lee's brother, and I am Wei Chen's friend.
        """,
        Person=["Wei Chen", "Ann Lee"],
    )
    world.resolve()
    assert world.groups() == set()


def test_a_guest_who_is_announced_by_full_name_speaks_next(world):
    world.write(
        "a",
        "Host: My guest is Desmond Achebe-Cole.\nDesmond: Thank you.",
        Person=["Desmond Achebe-Cole"],
    )
    world.resolve()
    assert world.together("desmond@a", "desmond achebe cole")


def test_a_label_that_two_names_are_claimed_for_is_left_apart(world):
    world.write("a", "Speaker 1: My name is Gail Norwood. I'm Vince Aldana.", Person=["Gail Norwood", "Vince Aldana"])
    world.resolve()
    assert world.groups() == set()
    assert frozenset({"speaker 1", "gail norwood"}) in world.candidates()


def test_two_labels_of_one_document_are_two_persons_whatever_their_names(world):
    world.write("a", "Mike Osei: Yes.\nMichael Osei: No.")
    world.resolve()
    assert world.groups() == set()


def test_full_forms_of_a_name_are_one_across_documents(world):
    world.write("a", "John Mercer: Yes.")
    world.write("b", "J. T. Mercer: No.")
    world.write("c", "Ann Lee: John T. Mercer said no.", Person=["John T. Mercer"])
    world.resolve()
    assert world.together("john mercer", "jt mercer", "john t mercer")


def test_a_nickname_that_fits_two_is_neither(world):
    world.write("a", "Alexander Volkov: Yes.\nAlexandra Volkov: No.")
    world.write("b", "Alex Volkov: Perhaps.")
    world.resolve()
    assert world.groups() == set()


def test_a_title_is_that_of_the_one_who_bears_it(world):
    world.write("a", "Ann Lee: Senator Whitlock, please. Senator?", Person=["Senator Whitlock", "Senator"])
    world.write("b", "Senator Adele Whitlock: Good evening.\nGus Arden: Adele, hello.", Person=["Adele"])
    world.resolve()
    assert world.together("senator whitlock", "senator@a", "senator adele whitlock", "adele@b")


def test_an_edge_goes_when_the_words_that_it_stood_on_go(world):
    world.write("a", "Ann Lee: Wei Chen did it. Thank you, Wei.", Person=["Wei Chen", "Wei"])
    world.resolve()
    assert world.together("wei@a", "wei chen")
    world.write("a", "Ann Lee: Somebody did it. Thank you, Wei.", Person=["Wei"])
    world.write("b", "Bob Marsh: Wei Chen again.", Person=["Wei Chen"])
    world.resolve()
    assert world.groups() == set()
    world.drop("a")
    world.drop("b")
    world.resolve()
    assert world.edges() == set()
    assert world.candidates() == set()


def test_ten_thousand_speakers_take_no_longer_than_they_are_many(world):
    lines = [f"Given{n} Surname{n % 977}: Yes, Given{n - 1} said so." for n in range(10_000)]
    world.write("a", "\n".join(lines), Person=[f"Given{n}" for n in range(0, 10_000, 100)])
    world.resolve()
    assert world.together("given100@a", "given100 surname100")
