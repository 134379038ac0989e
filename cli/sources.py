"""Reads the settings from where people put them, and remembers where each came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from dotenv import dotenv_values

from core_engine.errors import SettingsError
from core_engine.settings import Settings, flag
from metrics import caps, quotas


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and per name where the value came from: `--flag`, a variable, a file, or `default`."""

    settings: Settings
    origins: Mapping[str, str]


def load(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, config: str | None = None) -> Loaded:
    """Settings from flags > environment > kg.toml > .env > defaults. Raises SettingsError naming the place."""
    environ = os.environ if environ is None else environ
    dotenv = _dotenv()
    toml, toml_path = _toml(config or environ.get("KG_CONFIG"))
    types = get_type_hints(Settings)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in fields(Settings):
        name = item.name
        names = (f"KG_{name.upper()}", *item.metadata.get("env", ()))
        found = _first(name, names, flags, environ, toml, toml_path, dotenv)
        if found is None:
            origins[name] = "default"
            continue
        value, origins[name] = found
        if name == "tags":
            values[name] = _tags(flags, environ, toml, toml_path, dotenv)
            continue
        if name in _CHECKED:
            values[name] = _CHECKED[name](value, toml_path)
            continue
        values[name] = _as_type(value, types[name], origins[name])
    _per_stage(values, origins)
    try:
        return Loaded(Settings(**values), origins)
    except SettingsError as error:
        raise SettingsError(_placed(str(error), origins)) from error


def _per_stage(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Let `[models]` name the models of extraction and embedding, where no flag and no variable does."""
    stages: dict[str, str] = values.get("models", {})
    for stage, name in (("extract", "model"), ("embed", "embedding_model")):
        in_a_file = origins[name] == "default" or origins[name].endswith(f": {name}")
        if stage not in stages or not in_a_file:
            continue
        if stage == "extract":  # the other stages keep the model that is for all
            values["models"] = {"resolve": values.get(name, Settings().model), **stages}
        values[name], origins[name] = stages[stage], f"{origins['models']}.{stage}"


def _placed(message: str, origins: Mapping[str, str]) -> str:
    """The message about an option, with the place that its value came from where that is not the command line."""
    for name, origin in origins.items():
        option = flag(name)
        if origin not in {"default", option} and message.startswith((f"{option} ", f"{option}:")):
            return message.replace(option, f"{option} ({origin})", 1)
    return message


def _first(
    name: str,
    variables: tuple[str, ...],
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    toml: Mapping[str, Any],
    toml_path: str,
    dotenv: Mapping[str, str | None],
) -> tuple[Any, str] | None:
    if flags.get(name) not in (None, []):
        return flags[name], flag(name)
    for variable in variables:
        if environ.get(variable):
            return environ[variable], variable
    if name in toml:
        return toml[name], f"{toml_path}: {name}"
    for variable in variables:
        if dotenv.get(variable):
            return dotenv[variable], f".env: {variable}"
    return None


def _dotenv() -> dict[str, str]:
    path = Path(".env")
    if not path.is_file():
        return {}
    try:
        return {name: value for name, value in dotenv_values(path).items() if value}
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f".env: {error}: mend it, or move it away") from error


def _toml(given: str | None) -> tuple[dict[str, Any], str]:
    path = Path(given or "kg.toml")
    if not path.is_file():
        if given:
            raise SettingsError(f"--config {given}: there is no such file")
        return {}, ""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: {error}: mend it, or name another file with --config") from error
    known = {item.name for item in fields(Settings)}
    for key in content:
        if key.replace("-", "_") not in known:
            raise SettingsError(f"{path}: {key!r} is no setting: `kg config` lists them all")
    return {key.replace("-", "_"): value for key, value in content.items()}, str(path)


def _as_type(value: Any, wanted: Any, origin: str) -> Any:
    """The value as the setting's type; text from the environment is read as such."""
    options = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    kind = next(option for option in options if option is not NoneType)
    if kind is bool and (as_bool := _as_bool(value)) is not None:
        return as_bool
    if kind in {int, float} and (number := _as_number(value, kind)) is not None:
        return number
    if kind is str and isinstance(value, str):
        return value
    if kind not in _IN_WORDS and isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values()):
        return dict(value)
    raise SettingsError(f"{origin}: {value!r} should be {_IN_WORDS.get(kind, 'a table of texts')}")


def _tags(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    toml: Mapping[str, Any],
    toml_path: str,
    dotenv: Mapping[str, str | None],
) -> dict[str, str]:
    """All tags together: each place adds its own, and of two with one name that counts which stands nearer."""
    tags: dict[str, str] = {}
    for text in filter(None, (dotenv.get(_TAGS),)):
        tags |= pairs(text.split(","), f".env: {_TAGS}")
    if "tags" in toml:
        tags |= _as_type(toml["tags"], Mapping[str, str], f"{toml_path}: tags")
    if environ.get(_TAGS):
        tags |= pairs(environ[_TAGS].split(","), _TAGS)
    return tags | pairs(flags.get("tags") or (), "--tag")


def pairs(texts: Iterable[str], origin: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, sign, _ in pairs:
        if not sign:
            raise SettingsError(f"{origin}: {name!r} should look like NAME=VALUE")
    return {name.strip(): value.strip() for name, _, value in pairs}


_TAGS = "KG_TAGS"
_CHECKED = {"budget": caps.checked, "quota": quotas.checked}
_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _as_bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }.get(str(value).strip().lower())


def _as_number(value: Any, kind: type[int | float]) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = kind(value)
    except (ValueError, TypeError):
        return None
    return None if isinstance(value, float) and number != value else number
