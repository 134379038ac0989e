"""What one request is about. Light, so that who only says what to ask need not import the model's client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What one request is about: its questions' numbers in order, the batch it belongs to, and why it is asked.

    One that is not `patient` is tried only once more when it fails. `chunks`: their ids; `speakers`: who speaks in them
    (only where content is traced, to be masked there). `persona`: who it is for, where files say so.
    """

    numbers: Sequence[int]
    batch: str
    purpose: str = "first"
    patient: bool = True
    chunks: Sequence[str] = ()
    speakers: Sequence[str] = ()
    persona: str | None = None
