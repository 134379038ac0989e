"""What can go wrong, drawn as a tree.

KGError                 the root: catch it to catch all of ours
├── SettingsError       the command or its settings are wrong; nothing was started        (exit 1)
├── ReadError           one input could not be read; the run goes on with the rest        (exit 2)
│   ├── NotATranscript  it can be read, but it is no transcript: skipped with this reason (exit 0)
│   └── Unreadable      broken, empty, forbidden, vanished ...
├── LedgerError         the ledger cannot be opened or written
│   └── WorkspaceLocked another run holds the workspace                                   (exit 4)
├── ModelError          one request to a model failed
│   ├── PassingFailure  trying again may help (timeouts, 5xx, resets, rate limits)
│   ├── RequestTooLarge the provider wants a smaller request: split it
│   ├── BadReply        the provider answered, but not with what was asked for
│   └── ServiceRefused  trying again cannot help: 401, 403, 404, no quota; the run ends   (exit 5)
├── StoreError          a graph or vector store refused or stayed away                    (exit 5)
├── OverBudget          our own cap stops the run                                         (exit 3)
└── Stopped             the user stops the run                                            (exit 130)

Each says what happened, to which file, chunk or service, and what to do next. Never put a key or a URL with
credentials into one.
"""

from __future__ import annotations

from collections.abc import Mapping

from core_engine.types import Usage


class KGError(Exception):
    """The root of all our errors. `str(error)` is fit to be shown to a user."""


class SettingsError(KGError):
    """The command line, the environment or `kg.toml` asks for something that cannot be."""


class ReadError(KGError):
    """One input was not read. `path` is as the user would name it; `line` and `column` count from 1."""

    def __init__(self, path: str, reason: str, *, line: int | None = None, column: int | None = None) -> None:
        self.path = path
        self.reason = reason
        self.line = line
        self.column = column
        super().__init__(path, reason, line, column)

    def __str__(self) -> str:
        where = self.path
        if self.line is not None:
            where += f":{self.line}"
            if self.column is not None:
                where += f":{self.column}"
        return f"{where}: {self.reason}"


class NotATranscript(ReadError):
    """The file is fine, but holds no conversation (a README, a table of corrections): skipped."""


class Unreadable(ReadError):
    """The file should be read and can't be."""


class LedgerError(KGError):
    """The ledger can't be opened, read or written."""


class WorkspaceLocked(LedgerError):
    """Another run holds the workspace."""


class ModelError(KGError):
    """A request to a model failed.

    `kind` is a short word for reports (`timeout`, `rate_limited`, ...). Where the provider answered all the same,
    `usage` is what it will bill and `reply` the answer as it came; `headers` are those of a refusal. `lasted_s`: so long
    the request was under way, `tier`: what processed it, where the provider says so.
    """

    usage: Usage | None = None
    reply: bytes | None = None
    tier: str = ""
    headers: Mapping[str, str] | None = None
    lasted_s: float = 0.0

    def __init__(
        self, message: str, *, kind: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(message)


class PassingFailure(ModelError):
    """Trying again may help."""

    @property
    def turned_away(self) -> bool:
        """The provider is there, and asks for fewer requests or for a pause."""
        return self.kind == "rate_limited" or self.retry_after_s is not None


class RequestTooLarge(ModelError):
    """The provider takes only a smaller request."""


class BadReply(ModelError):
    """The provider answered, but not with what was asked for."""


class ServiceRefused(ModelError):
    """Trying again can't help: the run ends."""


class StoreError(KGError):
    """A graph or vector store refused, or stayed away."""


class OverBudget(KGError):
    """Our own cap stops the run."""


class Stopped(KGError):
    """The user asked to stop; what this was about was not begun."""
