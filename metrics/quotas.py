"""The tiers of `[quota]` in kg.toml: named sets of caps that workspaces and personas refer to.

    [quota]
    warn_at = [50, 80, 100]     # per cent

    [quota.tier.free]
    month_tokens = 10_000
    day_chunks = 100
    hard = false                # only warn; true, if left out: nothing is sent that could cross it

    [quota.tier.premium]
    month_tokens = "unlimited"

    [quota.workspace]
    acme = "premium"

    [quota.persona]
    "*" = "free"                # each persona that is not named

They are caps like those of `[budget]`, which hold beside them, in the same account and time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from core_engine.errors import SettingsError
from metrics.caps import KEYS, WARN_AT, Cap, Table

_SCOPES = ("workspace", "persona")
_EACH = "*"
_UNLIMITED = "unlimited"


def quotas_of(
    table: Mapping[str, Any], workspace: str, personas: Iterable[str], file: str = "kg.toml"
) -> tuple[Cap, ...]:
    """The caps of the tiers of a workspace and of some personas. Raises SettingsError for what the table can't mean."""
    quota = _Quota(Table(file, table, "quota"))
    return tuple(
        cap
        for scope, name in (("workspace", workspace), *(("persona", persona) for persona in personas))
        if name and (tier := quota.tier_of(scope, name))
        for cap in quota.caps(tier, scope, name)
    )


def named(table: Mapping[str, Any], scope: str) -> list[str]:
    """The workspaces, or personas, that have a tier of their own."""
    return [name for name in table.get(scope, {}) if name != _EACH]


def warn_at(table: Mapping[str, Any]) -> tuple[int, ...]:
    """At how many per cent of a cap a warning is due, ascending."""
    return tuple(sorted(table.get("warn_at", WARN_AT)))


def checked(table: Any, file: str) -> dict[str, Any]:
    """The table `[quota]`. Raises SettingsError, with file and line, if it says something that can't be."""
    if not isinstance(table, dict):
        raise SettingsError(
            f"{file}: `quota` must be a table: [quota.tier.NAME], and below it lines like day_tokens = 10"
        )
    quota = _Quota(Table(file, table, "quota"))
    quota.check()
    return table


class _Quota:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._tiers: Mapping[str, Any] = table.values.get("tier", {})

    def tier_of(self, scope: str, name: str) -> str | None:
        tiers: Mapping[str, str] = self._table.values.get(scope, {})
        return tiers.get(name, tiers.get(_EACH))

    def caps(self, tier: str, scope: str, name: str) -> Iterator[Cap]:
        values = self._tiers[tier]
        hard = values.get("hard", True)
        for key, value in values.items():
            if key != "hard" and value != _UNLIMITED:
                period, unit = key.split("_")
                amount = self._table.amount(("tier", tier), key, value)
                yield Cap(period, unit, amount, scope, name, f"tier {tier!r}, {self._table.file}: {key}", hard)

    def check(self) -> None:
        known = ("warn_at", "tier", *_SCOPES)
        for key in self._table.values:
            if key not in known:
                raise self._table.wrong((), key, f"`{key}` is no setting of a quota: there are {', '.join(known)}")
        levels = self._table.values.get("warn_at", ())
        if not isinstance(levels, list | tuple) or not all(type(one) is int and 0 < one <= 100 for one in levels):
            raise self._table.wrong((), "warn_at", "`warn_at` must be a list of per cents, like [50, 80, 100]")
        if not isinstance(self._tiers, dict):
            raise self._table.wrong((), "tier", "write [quota.tier.NAME], and below it lines like day_tokens = 10")
        for tier, values in self._tiers.items():
            self._check_tier(tier, values)
        for scope in _SCOPES:
            self._check_names(scope)

    def _check_tier(self, tier: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise self._table.wrong(
                ("tier",), tier, f"write [quota.tier.{tier}], and below it lines like day_tokens = 10"
            )
        place = "tier", tier
        for key, value in values.items():
            if key == "hard":
                if not isinstance(value, bool):
                    raise self._table.wrong(place, key, "`hard` must be true or false")
            elif key not in KEYS:
                near = get_close_matches(key, KEYS, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join((*KEYS, 'hard'))}"
                raise self._table.wrong(place, key, f"`{key}` is no setting of a tier: {hint}")
            elif value != _UNLIMITED:
                self._table.amount(place, key, value)

    def _check_names(self, scope: str) -> None:
        names = self._table.values.get(scope, {})
        if not isinstance(names, dict):
            raise self._table.wrong((), scope, f'write [quota.{scope}], and below it lines like NAME = "free"')
        for name, tier in names.items():
            if tier not in self._tiers:
                there = ", ".join(self._tiers) or "none yet"
                raise self._table.wrong(
                    (scope,), name, f"there is no tier {tier!r} for {scope} {name!r}: there are {there}"
                )
