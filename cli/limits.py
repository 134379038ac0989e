"""All caps that the settings put on a workspace and on personas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core_engine.settings import Settings
from metrics import quotas
from metrics.caps import Cap, Caps, caps_of


def limits_of(settings: Settings, workspace: str, personas: Sequence[str]) -> Caps:
    """For one workspace and these personas: of `[budget]`, `--max-cost` and the tiers of `[quota]`."""
    caps = caps_of(settings.budget, workspace, also=personas, max_cost=settings.max_cost)
    tiers = quotas.quotas_of(settings.quota, workspace, personas)
    return replace(caps, caps=(*caps.caps, *tiers), warn_at=quotas.warn_at(settings.quota))


def all_limits(settings: Settings, workspaces: Iterable[str], personas: Iterable[str] = ()) -> Caps:
    """Of days and months: for the home, for these workspaces, and for these personas and those that the settings name."""
    whose = sorted({*personas, *defined(settings)} - {""})
    settings = replace(settings, max_cost=None)
    found: dict[Cap, None] = {}
    caps = limits_of(settings, settings.workspace, ())
    for name in workspaces:
        caps = limits_of(settings, name, whose)
        found |= dict.fromkeys(cap for cap in caps.caps if cap.period != "run")
    return replace(caps, caps=tuple(found))


def defined(settings: Settings) -> list[str]:
    """The personas that the settings name."""
    named = {*settings.stage_personas.values(), *settings.path_personas.values()}
    named |= set(quotas.named(settings.quota, "persona"))
    named |= {name for name in settings.budget.get("persona", {}) if name != "*"}
    return sorted({*named, *([settings.persona] if settings.persona else [])})
