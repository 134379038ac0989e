"""What is said when a cap is nearly used, used up, or will be before its month ends: in words, and as a program reads it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from metrics.caps import amount_in_words

ALERTS = frozenset({"quota_warned", "quota_exceeded", "quota_projected"})
"""Events of which a user is told by a command or a webhook."""

SCHEMA = "kg.alert/1"


def in_words(name: str, said: Mapping[str, Any]) -> str:
    """One line. `said` is a cap as RunBudget.state() says it, and what the event adds: percent, needed or projected."""
    whose = "" if said["scope"] == "home" else f" of {said['scope']} {said['name']!r}"
    cap = f"the {said['period']}'s cap{whose}, {_amount(said, 'cap')} ({said['set_by']})"
    until = f" until {said['resets_at']}" if said["resets_at"] else ""
    if name == "quota_projected":
        return f"{cap}, will not last{until}: {_amount(said, 'projected')} are to be expected"
    if name == "quota_exceeded":
        return f"{cap}, has no room for the next request, which may take {_amount(said, 'needed')}: {_amount(said, 'left')} left{until}"
    stays = "" if said["hard"] else "; it only warns"
    return f"{said['percent']} % of {cap} used: {_amount(said, 'spent')}, {_amount(said, 'left')} left{until}{stays}"


def payload(name: str, said: Mapping[str, Any], at: float, about: Mapping[str, str]) -> dict[str, Any]:
    """For a command or a webhook: documented in docs/budgets.md. `text` is what chat services show."""
    return {
        "schema": SCHEMA,
        "alert": name,
        "at": dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds"),
        "text": f"kg {about['workspace']}: {in_words(name, said)}",
        **about,
        **said,
    }


def _amount(said: Mapping[str, Any], field: str) -> str:
    return amount_in_words(Decimal(str(said[field])), said["unit"])
