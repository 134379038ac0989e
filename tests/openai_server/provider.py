"""The pretended provider: its settings, and the state that every endpoint shares."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.openai_server import tokens
from tests.openai_server.answers import Answerer, Empty, Rules
from tests.openai_server.books import Books, Entry
from tests.openai_server.draws import Distribution
from tests.openai_server.errors import ApiError, invalid, no_quota
from tests.openai_server.faults import Faults
from tests.openai_server.gold import Gold
from tests.openai_server.limits import Limits
from tests.openai_server.models import Model, Models
from tests.openai_server.resolving import Pairs
from tests.openai_server.settings import Settings

# Which settings make which part of the state anew. A change of latency must not fill the buckets again.
_LIMITS = frozenset({"rpm", "tpm", "embedding_rpm", "embedding_tpm", "per_second", "steal", "charge"})
_ANSWERS = frozenset({"gold", "otherwise"})
_MODELS = frozenset({"models", "any_model", "prices"})


class Provider:
    """One provider and one key's account with it."""

    def __init__(self, settings: Settings) -> None:
        self.first_settings = settings
        self.reset(settings)

    def reset(self, settings: Settings) -> None:
        """Begin anew with these settings: empty books, full buckets, cold cache."""
        self.settings = settings
        self.warm: dict[tuple[str, str, str], float] = {}
        self.canned_uses: Counter[int] = Counter()
        self._done_at: list[float] = []
        self._offer()
        self._answer()
        self._limit()
        self._measure()
        self.books = Books(self.models)

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings while running. Raises ValueError, and then nothing has changed."""
        before = self.settings
        self.settings = before.updated(changes)
        try:
            if changes.keys() & _MODELS:
                self._offer()
                self.books.models = self.models
            if changes.keys() & _ANSWERS:
                self._answer()
            if changes.keys() & _LIMITS:
                self._limit()
            if "replies" in changes:
                self.canned_uses.clear()
            self._measure(faults=bool(changes.keys() & {"faults", "seed"}))
        except Exception:
            self.settings = before
            raise

    def _offer(self) -> None:
        settings = self.settings
        self.models = Models(settings.models, settings.prices, anything=settings.any_model)

    def _answer(self) -> None:
        settings = self.settings
        rules = settings.otherwise == "rules" or (not settings.gold and settings.otherwise is None)
        otherwise: Answerer = Rules() if rules else Empty()
        self.gold = Gold(settings.gold, otherwise) if settings.gold else None
        self.answerer: Answerer = self.gold or otherwise
        self.pairs = Pairs(self.gold.scenes if self.gold else ())

    def _limit(self) -> None:
        self.limits = Limits(self.settings, time.monotonic())

    def _measure(self, *, faults: bool = True) -> None:
        settings = self.settings
        if faults:
            self.faults = Faults(settings.faults, settings.seed)
        self.count = tokens.counter(settings.tokens)
        self.count_embedded = tokens.counter(settings.tokens, "cl100k_base")
        self.latency = Distribution.parse(settings.latency)
        slow = settings.embedding_latency
        self.embedding_latency = self.latency if slow is None else Distribution.parse(slow)
        length = settings.completion_tokens
        self.completion = None if length is None else Distribution.parse(length)
        self._static: dict[str, int] = {}

    # --- what every request passes --------------------------------------------------------------------------------

    def check_key(self, authorization: str) -> None:
        """Raise the 401 of a missing or wrong key."""
        wanted = self.settings.require_key
        if wanted is None:
            return
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "You didn't provide an API key. You need to provide your API key in an Authorization "
                           "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).")  # fmt: skip
        if key != wanted:
            # OpenAI shows both ends of the key in this message, so whoever prints it prints a part of a secret.
            shown = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
            raise ApiError(
                401,
                f"Incorrect API key provided: {shown}. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                code="invalid_api_key",
            )

    def check_offered(self, *features: str) -> None:
        """Raise what a server without a feature answers (see the setting `refuse`)."""
        for feature in features:
            if feature not in self.settings.refuse:
                continue
            if feature in {"chat", "embeddings", "batches"}:
                raise ApiError(404, f"This server has no {feature}.", kind="not_found_error")
            if feature.startswith("json_"):
                raise invalid(f"'response_format.type' of '{feature}' is not supported.", "response_format")
            raise invalid(
                f"Unsupported parameter: '{feature}' is not supported with this model.",
                feature,
                "unsupported_parameter",
            )

    def model(self, name: Any, *, embeds: bool) -> Model:
        """The model of this name, or the error that its absence gets."""
        if not isinstance(name, str) or not name:
            raise invalid("you must provide a model parameter")
        model = self.models.get(name)
        if model is None:
            message = f"The model `{name}` does not exist or you do not have access to it."
            raise ApiError(404, message, code="model_not_found")
        if embeds and model.dimensions is None:
            raise ApiError(403, f"You are not allowed to generate embeddings from this model: {name}")
        if not embeds and model.dimensions is not None:
            raise ApiError(
                404,
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to "
                "use v1/completions?",
                param="model",
            )
        return model

    def admit(self, entry: Entry, tokens_charged: int) -> None:
        """Pass the quota and the limits, or raise their 429."""
        quota = self.settings.quota
        if quota is not None and self.books.dollars >= quota:
            raise no_quota()
        if entry.batch:
            return  # the Batch API has limits of its own
        self.limits.admit(entry.stage, entry.model, tokens_charged, time.monotonic())

    def settle(self, entry: Entry, completion: int) -> None:
        """Charge what only the answer shows, where the provider charges actual usage."""
        if self.settings.charge == "actual" and not entry.batch:
            self.limits.settle(entry.stage, completion)

    def when_done(self, seconds: float) -> float:
        """In how many seconds work that takes so long is done, after what came before it (the setting `parallel`)."""
        if not self.settings.parallel:
            return seconds
        now = time.monotonic()
        free = len(self._done_at) < self.settings.parallel
        begin = now if free else max(heapq.heappop(self._done_at), now)
        heapq.heappush(self._done_at, begin + seconds)
        return begin + seconds - now

    def count_static(self, text: str) -> int:
        """Tokens of a text that comes with every request: counted once."""
        if text not in self._static:
            if len(self._static) >= 100:
                self._static.clear()
            self._static[text] = self.count(text)
        return self._static[text]
