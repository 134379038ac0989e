"""What is a date, an amount, a percentage or an address by its form, and what only looks like one."""

import pytest

from core_engine.kg.rules.values import VALUES, values


def told(text):
    return [(VALUES[value.kind], text[value.start : value.end]) for value in values(text)]


DATES = """
2026-11-20 | 11/20/2026 | 20.11.2026 | 10:30 | 10:30 a.m. | 3 p.m. | 9:15 AM ET | 5 o'clock | March 5 | March 5th, 2020
5 March 2020 | the 5th of March | Friday, March 5th | Sept. 3 | June 2019 | mid-May 2021 | the 21st century | 1990s
Friday | next Friday | Monday morning | last week | this quarter | the prior year | the end of the month | Q3 | Q3 2020
2Q20 | FY21 | fiscal year 2020 | the third quarter | the third quarter of 2020 | the first half of last year
three months ago | two weeks ago | a year ago | tomorrow | yesterday afternoon | Tomorrow
""".replace("\n", "|").split("|")


@pytest.mark.parametrize("date", [date.strip() for date in DATES if date.strip()])
def test_a_date_or_time_is_told_whole(date):
    assert told(f"so we meet {date} and see") == [("Date", date)]


@pytest.mark.parametrize(
    "amount",
    [
        "$5",
        "$1,250.50",
        "$30 million",
        "US$30 million",
        "€3.5bn",
        "£ 940 million",
        "CHF85 million",
        "DKK 21.4 billion",
        "18 cents",
        "2.5 million dollars",
        "twelve and a half euros",
        "three hundred and ten thousand euros",
        "a hundred dollars",
        "5 €",
        "3 million pounds",
    ],
)
def test_an_amount_of_money_is_told_whole(amount):
    assert told(f"it costs {amount}, they say") == [("Money", amount)]


@pytest.mark.parametrize(
    "share",
    ["20%", "2.5 %", "-5%", "1,000%", "six percent", "thirteen per cent", "four and a half percent", "80 basis points"],
)
def test_a_percentage_is_told_whole(share):
    assert told(f"it grew {share}, they say") == [("Percentage", share)]


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("EmailAddress", "ann.lee+news@mail.acme.co.uk"),
        ("WebAddress", "https://acme.example/a?b=c#d"),
        ("WebAddress", "www.acme.com"),
        ("WebAddress", "acme.io/docs"),
        ("WebAddress", "YETI.com"),
    ],
)
def test_an_address_is_told_without_the_full_stop_behind_it(kind, address):
    assert told(f"look at {address}. Then call.") == [(kind, address)]


@pytest.mark.parametrize(
    "text",
    [
        "we may march on, said April and May Jones",
        "today, now, this morning, in two weeks, for 18 months, 20 pounds of it, the third one",
        "COVID-19, room 2020-B, version 1.2.3, 10.0.0.1, 3:2, 24/7, 2000 people, 555-1234, x2021y, item 5.",
        "e.g. this, i.e. that, U.S. firms, and no.one",
        "12:75, 25:00, 2026-13-40",
        "year over year, year-over-year, the year, quarter, the quarterly report, half of it, a second thought",
        "percent and dollars, some percent, a few dollars, cent by cent",
        "Marching, Mayor, Octopus, Sunset",
    ],
)
def test_what_only_looks_like_a_value_is_none(text):
    assert told(text) == []


def test_a_year_is_one_where_the_words_say_so_or_where_nothing_is_counted_by_it():
    assert told("in 2000 we had 2021 orders, but 2019 was better than 1812, since 1848") == [
        ("Date", "2000"),
        ("Date", "2019"),
        ("Date", "1848"),
    ]


def test_of_values_that_overlap_the_longer_stays():
    assert told("by the end of June 2020 it was $5 million dollars") == [
        ("Date", "the end of June 2020"),
        ("Money", "$5 million dollars"),
    ]


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "$",
        "1,",
        "1.",
        "a@",
        "a.",
        "one ",
        "a.com/",
        "of ",
        "Jan ",
        "the last ",
        "week ",
        "99 ",
        "%",
        " cent",
        "-1",
    ],
)
def test_a_turn_of_200_000_characters_without_sense_is_read(unit):
    text = (unit * 200_000)[:200_000]
    for value in values(text):
        assert text[value.start : value.end]
