"""Which names are one in the whole workspace, and which mean something else in each document."""

import pytest

from core_engine.kg.normalise import normal_form
from core_engine.kg.scope import scope_of


def scope(name, kind):
    return scope_of(normal_form(name), kind, speaker=False)


@pytest.mark.parametrize(
    "name",
    [
        "2020",
        "March 5, 2020",
        "2026-11-20",
        "the third quarter of 2019",
        "Q3 2020",
        "FY21",
        "2Q20",
        "the 1990s",
        "the 21st century",
    ],
)
def test_a_date_that_names_its_year_is_one_in_the_workspace(name):
    assert scope(name, "Date") == "workspace"


@pytest.mark.parametrize(
    "name",
    ["Friday", "next week", "March", "March 5th", "10:30", "Q3", "the third quarter", "the end of the month", "soon"],
)
def test_a_date_without_its_year_is_its_documents(name):
    assert scope(name, "Date") == "document"


@pytest.mark.parametrize("name", ["$30 million", "€3.5bn", "five dollars", "2,000 euros", "CHF85 million", "80 pounds"])
def test_an_amount_with_its_currency_is_one_in_the_workspace(name):
    assert scope(name, "Money") == "workspace"


@pytest.mark.parametrize("name", ["the budget", "a few dollars", "40k", "a lot of money"])
def test_an_amount_that_is_not_told_is_its_documents(name):
    assert scope(name, "Money") == "document"


@pytest.mark.parametrize(
    ("name", "kind"), [("send the report", "ActionItem"), ("ship in May 2020", "Decision"), ("20%", "Percentage")]
)
def test_what_is_of_one_conversation_is_its_documents(name, kind):
    assert scope(name, kind) == "document"


@pytest.mark.parametrize("kind", ["Organization", "Topic", "Role", "EmailAddress", "Entity"])
def test_other_names_reach_through_the_workspace(kind):
    assert scope("Friday", kind) == "workspace"
