"""Several prompts or models on trial in one run, and the share of the documents that each is given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core_engine.errors import SettingsError

_MOST = 8  # more than so many get too few documents each


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask. `prompt`: a file or a name, None for the usual one. `until`: the sum of the shares up to its own."""

    model: str
    prompt: str | None
    until: float


def ways(model: str, prompt: str | None, models: str | None, prompts: str | None, split: str | None) -> tuple[Way, ...]:
    """The ways on trial, in the order in which they were named; () where there is no trial. Raises SettingsError."""
    if models and prompts:
        raise SettingsError(
            "--model-variants and --prompt-variants at once would not tell which of the two made a difference: try one, then the other"
        )
    if not models and not prompts:
        if split:
            raise SettingsError("--split is about variants: give --model-variants or --prompt-variants too")
        return ()
    option = "--model-variants" if models else "--prompt-variants"
    names = [name.strip() for name in (models or prompts or "").split(",") if name.strip()]
    if not 2 <= len(names) <= _MOST or len(set(names)) < len(names):
        raise SettingsError(f"{option}: name 2 to {_MOST} different ones, with commas between them")
    untils = _untils(split, len(names))
    if models:
        return tuple(Way(name, prompt, until) for name, until in zip(names, untils, strict=True))
    return tuple(Way(model, name, until) for name, until in zip(names, untils, strict=True))


def _untils(split: str | None, count: int) -> list[float]:
    """The upper ends of the shares, the last of them 1."""
    if split is None:
        return [(at + 1) / count for at in range(count)]
    parts = split.split("/")
    numbers = [float(part) for part in parts if re.fullmatch(r"\s*\d{1,6}(\.\d{1,6})?\s*", part)]
    if len(numbers) != len(parts) or len(numbers) != count or min(numbers) <= 0:
        raise SettingsError(f"--split {split!r}: give {count} shares above 0, such as {_example(count)}")
    whole = sum(numbers)
    return [*(sum(numbers[: at + 1]) / whole for at in range(count - 1)), 1.0]


def _example(count: int) -> str:
    return "80/20" if count == 2 else "/".join(["50", *["25"] * (count - 1)])
