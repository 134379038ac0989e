"""An existing workspace, as the commands beside `kg process` find it."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any

from cli.sources import Loaded, load
from core_engine.errors import SettingsError
from core_engine.ledger import overview
from core_engine.settings import Settings


def existing(loaded: Loaded) -> Settings:
    """The settings, if their workspace is there. SettingsError, with what to do, if it isn't."""
    settings = loaded.settings
    try:
        there = settings.ledger_path.is_file()
    except OSError as error:
        raise SettingsError(
            f"{settings.ledger_path}: {error.strerror}: it is somebody else's, or --home is another"
        ) from error
    if not there:
        raise SettingsError(
            f"there is no workspace {settings.workspace!r} in {settings.home}: `kg process PATHS` makes it, --workspace "
            "and --home name another"
        )
    return settings


def settings_of(arguments: dict[str, Any], config: str | None) -> Loaded:
    """Settings from a command's `locals()`, of which only the settings count, and the other places they come from."""
    return load({k: v for k, v in arguments.items() if k in Settings.__dataclass_fields__}, config=config)


def as_last_embedded(loaded: Loaded, db: sqlite3.Connection) -> Settings:
    """The settings with the embedder of the workspace's last run, where none was given.

    Which vectors a workspace has must not depend on whether a key happens to be set today.
    """
    settings = loaded.settings
    if settings.no_model or loaded.origins["embedder"] != "default":
        return settings
    held = overview.last_settings(db)
    names = {field.name for field in dataclasses.fields(Settings)} - {"headers"}
    known = {name: value for name, value in held.items() if name in names}
    if not known:
        return settings
    # A secret is stored as the word "set", which is all that `embedder_used` asks for.
    then = Settings(**known)
    changes: dict[str, Any] = {"embedder": then.embedder_used}
    for name in ("embedding_model", "dimensions"):
        if loaded.origins[name] == "default":
            changes[name] = getattr(then, name)
    return dataclasses.replace(settings, **changes)
