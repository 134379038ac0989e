"""Rate limits as providers enforce them: buckets of requests and of tokens, headers that tell, 429s that name a wait."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.openai_server.errors import ApiError
from tests.openai_server.settings import Settings

_ADVICE = "Visit https://platform.openai.com/account/rate-limits to learn more."


@dataclass(slots=True)
class Bucket:
    """`limit` a minute. Full at the start; a request larger than it holds passes on a full one and leaves a debt."""

    limit: float
    capacity: float
    rate: float
    level: float
    at: float

    def refill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now

    def wait(self, amount: float) -> float:
        """Seconds until the amount may be taken."""
        return max(0.0, (min(amount, self.capacity) - self.level) / self.rate)


class Limits:
    """The limits of one key. `now` is in seconds of any clock that does not go back."""

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings = settings
        shared = self._bucket(settings.rpm, now), self._bucket(settings.tpm, now)
        self._buckets = {
            "chat": shared,
            "embeddings": (
                self._bucket(settings.embedding_rpm, now) or shared[0],
                self._bucket(settings.embedding_tpm, now) or shared[1],
            ),
        }

    def _bucket(self, limit: float | None, now: float) -> Bucket | None:
        if limit is None:
            return None
        share = 1.0 - self._settings.steal
        capacity = max(1.0, limit / 60) if self._settings.per_second else limit
        return Bucket(limit, capacity * share, limit / 60 * share, capacity * share, now)

    def admit(self, stage: str, model: str, tokens: int, now: float) -> None:
        """Charge the request, or raise the 429 that it gets."""
        requests, budget = self._buckets[stage]
        for bucket in (requests, budget):
            if bucket:
                bucket.refill(now)
        if budget and tokens > budget.limit:
            raise self._too_large(model, tokens, budget)
        if (wait := _wait(requests, 1)) > 0:
            raise self._refused(stage, model, "requests", requests, 1, wait)
        if (wait := _wait(budget, tokens)) > 0:
            raise self._refused(stage, model, "tokens", budget, tokens, wait)
        if requests:
            requests.level -= 1
        if budget:
            budget.level -= tokens

    def settle(self, stage: str, tokens: int) -> None:
        """Charge what came out larger; may leave a debt."""
        budget = self._buckets[stage][1]
        if budget:
            budget.level -= tokens

    def headers(self, stage: str) -> tuple[tuple[str, str], ...]:
        """What is left, as the last request found it."""
        if not self._settings.ratelimit_headers:
            return ()
        found: list[tuple[str, str]] = []
        for what, bucket in zip(("requests", "tokens"), self._buckets[stage], strict=True):
            if bucket:
                found += (
                    (f"x-ratelimit-limit-{what}", str(int(bucket.limit))),
                    (f"x-ratelimit-remaining-{what}", str(max(0, int(bucket.level)))),
                    (f"x-ratelimit-reset-{what}", duration((bucket.capacity - bucket.level) / bucket.rate)),
                )
        return tuple(found)

    def _refused(
        self, stage: str, model: str, what: str, bucket: Bucket | None, amount: float, wait: float
    ) -> ApiError:
        assert bucket
        if self._settings.count_refused and (requests := self._buckets[stage][0]):
            requests.level -= 1
        used = max(0, int(bucket.limit - bucket.level))
        again = f"Limit {bucket.limit:.0f}, Used {used}, Requested {amount:.0f}. Please try again in {duration(wait)}."
        return ApiError(
            429,
            f"Rate limit reached for {model} in organization org-test on {_long(what)}: {again} {_ADVICE}",
            kind=what,
            code="rate_limit_exceeded",
            headers=(
                ("retry-after", str(math.ceil(wait))),
                ("retry-after-ms", str(math.ceil(wait * 1000))),
                *self.headers(stage),
            ),
        )

    @staticmethod
    def _too_large(model: str, tokens: int, bucket: Bucket) -> ApiError:
        return ApiError(
            429,
            f"Request too large for {model} in organization org-test on {_long('tokens')}: Limit {bucket.limit:.0f}, "
            f"Requested {tokens}. The input or output tokens must be reduced in order to run successfully. {_ADVICE}",
            kind="tokens",
            code="rate_limit_exceeded",
        )


def _wait(bucket: Bucket | None, amount: float) -> float:
    return bucket.wait(amount) if bucket else 0.0


def _long(what: str) -> str:
    return "tokens per min (TPM)" if what == "tokens" else "requests per min (RPM)"


def duration(seconds: float) -> str:
    """As OpenAI writes it: 6m0s, 1.2s, 12ms."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
