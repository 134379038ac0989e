"""For other programs: their own calls to models, in the same ledger, quotas and traces as kg's.

    from kg_batch import observe

    with observe.call("summaries", model="gpt-5-mini") as call:
        reply = client.chat.completions.create(model="gpt-5-mini", messages=messages)
        call.answered(reply)

    @observe.calls("summaries", model="gpt-5-mini")     # the function returns the reply; async functions too
    def ask(text: str) -> ChatCompletion: ...

Each call becomes a small file in the workspace's inbox, which the next `kg process` or `kg usage` takes into the ledger.
What was asked and answered is never written, only tokens, times and names. Nothing here raises into your program, waits
for a network, or starts a thread; it may be used from any thread, task or process. It needs nothing but Python.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack, cast

__all__ = ["Call", "Options", "call", "calls"]

_log = logging.getLogger("kg_batch.observe")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = 1
_told = threading.Event()

F = TypeVar("F", bound=Callable[..., Any])


class Call:
    """One call under way: a context manager, for `with` and `async with`. Made by `call()`."""

    def __init__(self, fields: dict[str, Any], folder: Path) -> None:
        self._fields = fields
        self._folder = folder
        self._began = 0.0

    @property
    def id(self) -> str:
        """The call's id in the ledger, in logs and in traces."""
        return str(self._fields["id"])

    def answered(self, reply: Any) -> None:
        """Take usage, model and id from a reply of the OpenAI SDK, or of one that looks like it, or from its JSON."""
        try:
            self._read(reply)
        except Exception as error:  # noqa: BLE001  whatever a reply is, it is the caller's, and fine
            _say(f"a reply's usage could not be read: {type(error).__name__}")

    def used(self, *, prompt: int, completion: int = 0, cached: int = 0, reasoning: int = 0) -> None:
        """Tokens, where no reply tells them. `prompt` includes `cached`, `completion` includes `reasoning`."""
        counts = {"prompt": prompt, "completion": completion, "cached": cached, "reasoning": reasoning}
        self._fields |= {name: max(int(count), 0) for name, count in counts.items()}

    def failed(self, kind: str) -> None:
        """It failed, though nothing was raised. `kind` is a short word, as in `timeout`."""
        self._fields |= {"status": "failed", "error_kind": kind[:64]}

    def __enter__(self) -> Self:
        self._fields["started_at"] = time.time()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fields["duration_s"] = time.monotonic() - self._began
        if kind is not None:
            self.failed(kind.__name__)
        _write(self._folder, self._fields)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _read(self, reply: Any) -> None:
        usage = _get(reply, "usage")
        # Chat completions and embeddings say prompt_tokens, the Responses API input_tokens.
        prompt = _get(usage, "prompt_tokens", "input_tokens")
        inside = _get(usage, "prompt_tokens_details", "input_tokens_details")
        outside = _get(usage, "completion_tokens_details", "output_tokens_details")
        if prompt is not None:
            self.used(
                prompt=prompt,
                completion=_get(usage, "completion_tokens", "output_tokens") or 0,
                cached=_get(inside, "cached_tokens") or 0,
                reasoning=_get(outside, "reasoning_tokens") or 0,
            )
        self._fields["model_answered"] = str(_get(reply, "model") or "")
        self._fields["request_id"] = str(_get(reply, "_request_id", "id") or "")


class Options(TypedDict, total=False):
    """What may be said of a call besides its name and model.

    `endpoint` is the server's base URL; without it, OPENAI_BASE_URL or OpenAI's own. `workspace`, `persona` and `home`
    are those of kg's options; without them KG_WORKSPACE, KG_PERSONA and KG_HOME count, and then kg's defaults.
    """

    endpoint: str
    persona: str
    workspace: str
    home: str | os.PathLike[str]
    prompt_version: str


def call(name: str, *, model: str, **options: Unpack[Options]) -> Call:
    """A call to be entered with `with` or `async with`. `name` says what it is for: the stage in `kg usage --by stage`."""
    environ = os.environ
    fields = {
        "v": _VERSION,
        "id": uuid.uuid4().hex,
        "name": _checked(name, "name"),
        "model": str(model),
        "endpoint": options.get("endpoint") or environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1",
        "persona": options.get("persona") or environ.get("KG_PERSONA") or "",
        "prompt_version": options.get("prompt_version") or "",
        "status": "answered",
    }
    home = Path(options.get("home") or environ.get("KG_HOME") or ".kg")
    workspace = options.get("workspace") or environ.get("KG_WORKSPACE") or "default"
    return Call(fields, home / _checked(workspace, "workspace") / "inbox")


def calls(name: str, *, model: str, **options: Unpack[Options]) -> Callable[[F], F]:
    """A decorator for a function, async or not, that makes one call and returns its reply. The same options."""
    call(name, model=model, **options)  # a name that can't be is said where it stands, not when it is first called

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            with call(name, model=model, **options) as one:
                reply = function(*args, **kwargs)
                one.answered(reply)
            return reply

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            async with call(name, model=model, **options) as one:
                reply = await function(*args, **kwargs)
                one.answered(reply)
            return reply

        return cast("F", waiting if inspect.iscoroutinefunction(function) else plain)

    return decorate


def _checked(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{what} {text!r} can't be a name: letters, digits, '.', '_' and '-', 64 at most")
    return text


def _get(of: Any, *names: str) -> Any:
    """The first that is there, of an object's attributes or a mapping's values."""
    for name in names:
        value = of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)
        if value is not None:
            return value
    return None


def _write(folder: Path, fields: Mapping[str, Any]) -> None:
    """A file with another name is made and then renamed: whoever reads the inbox sees whole files alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = folder / f".{fields['id']}"
        descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            json.dump(fields, file)
        made.rename(folder / f"{time.time_ns()}-{fields['id']}.json")
    except Exception as error:  # noqa: BLE001  a full disk must not end somebody else's program
        _say(f"calls are not noted in {folder}: {type(error).__name__}")


def _say(text: str) -> None:
    """Once a process: a program that makes a million calls need not hear it a million times."""
    if not _told.is_set():
        _told.set()
        _log.warning("%s", text)
