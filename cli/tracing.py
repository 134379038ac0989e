"""Which tracing services a run tells, from the settings: beside wiring.py, what knows their classes."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from core_engine.settings import Settings
from kg_batch import __version__

if TYPE_CHECKING:
    from metrics.observers.alert_command import AlertCommand
    from metrics.observers.courier import Service, State
    from metrics.observers.records import About
    from metrics.observers.sinks import Sinks

log = logging.getLogger("kg.sinks")

_YES = frozenset({"true", "1", "yes", "on"})


def sinks_of(settings: Settings, run: str, command: str, now: float) -> Sinks | None:
    """The observer that tells them, its thread started; None where no service is set."""
    names = _told(settings)
    if not names:
        return None
    from metrics.observers.courier import HELD, HELD_OF_OTHERS
    from metrics.observers.records import About
    from metrics.observers.sinks import Sinks

    about = About(run, command, settings.workspace, settings.persona or "", dict(settings.tags), __version__)
    return Sinks(
        about,
        services_of(settings, about, names),
        started_at=now,
        sample=settings.trace_sample,
        mask=settings.trace_mask,
        held=HELD_OF_OTHERS if command == "observe" else HELD,
    )


def alert_command_of(settings: Settings, run: str) -> AlertCommand | None:
    """The user's command for alerts; None where there is none. It gets the environment without what is ours or secret."""
    if not settings.alert_command:
        return None
    from metrics.observers.alert_command import AlertCommand

    secrets = set(settings.secrets)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("KG_") and v not in secrets}
    about = {"run_id": run, "workspace": settings.workspace, "persona": settings.persona or ""}
    return AlertCommand(settings.alert_command, about, environ)


def _told(settings: Settings) -> list[str]:
    """The services that are on. What has an empty key is off."""
    disabled = settings.otel_sdk_disabled.strip().lower() in _YES
    on = {
        "langsmith": settings.langsmith_tracing.strip().lower() in _YES and settings.langsmith_api_key,
        "langfuse": settings.langfuse_public_key and settings.langfuse_secret_key,
        "posthog": settings.posthog_api_key,
        "phoenix": settings.phoenix_endpoint,
        "webhook": settings.alert_webhook,
        "otlp": (settings.otlp_traces_endpoint or settings.otlp_endpoint) and not disabled,
    }
    if on["otlp"] and settings.otlp_protocol.strip().lower() == "grpc":
        log.warning(
            "OTLP by gRPC is not spoken: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the collector's port for it"
        )
        del on["otlp"]
    return [name for name, yes in on.items() if yes]


def services_of(settings: Settings, about: About, names: Sequence[str]) -> list[Service]:
    """A Service for each of the names; none is spoken to yet."""
    services: list[Service] = []
    resource = {"service.name": settings.otel_service_name, **_pairs(settings.otel_resource_attributes)}
    for name in names:
        if name == "langsmith":
            from metrics.observers.langsmith import UNWANTED, LangSmith

            for variable in UNWANTED:
                os.environ.pop(variable, None)
            hidden = {
                "inputs": settings.langsmith_hide_inputs,
                "outputs": settings.langsmith_hide_outputs,
                "metadata": settings.langsmith_hide_metadata,
            }
            services.append(
                LangSmith(
                    about,
                    key=settings.langsmith_api_key or "",
                    endpoint=settings.langsmith_endpoint,
                    project=settings.langsmith_project,
                    workspace_id=settings.langsmith_workspace_id,
                    hide=frozenset(name for name, word in hidden.items() if word.strip().lower() in _YES),
                )
            )
        elif name == "webhook":
            from metrics.observers.webhook import Webhook

            services.append(Webhook(about, settings.alert_webhook or ""))
        elif name == "langfuse":
            from metrics.observers import langfuse

            where = {
                "host": settings.langfuse_host,
                "public_key": settings.langfuse_public_key or "",
                "secret_key": settings.langfuse_secret_key or "",
            }
            services += [langfuse.traces(about, resource=resource, **where), langfuse.LangfuseScores(**where)]
        elif name == "posthog":
            from metrics.observers.posthog import PostHog

            services.append(PostHog(about, key=settings.posthog_api_key or "", host=settings.posthog_host))
        else:
            from metrics.observers.otlp import Otlp

            if name == "phoenix":
                key = {"authorization": f"Bearer {settings.phoenix_api_key}"} if settings.phoenix_api_key else {}
                url = f"{(settings.phoenix_endpoint or '').rstrip('/')}/v1/traces"
                hint = "are PHOENIX_COLLECTOR_ENDPOINT and PHOENIX_API_KEY right?"
                services.append(Otlp(about, url=url, name="Phoenix", headers=key, resource=resource, hint=hint))
            else:
                # The endpoint for traces is taken as it stands, the one for everything is a base.
                base = (settings.otlp_endpoint or "").rstrip("/")
                url = settings.otlp_traces_endpoint or f"{base}/v1/traces"
                services.append(Otlp(about, url=url, headers=_pairs(settings.otlp_headers), resource=resource))
    return services


def trace_hosts(settings: Settings) -> list[str]:
    """Where content would go, if any does."""
    if settings.trace_content == "none":
        return []
    return [url for name, url in collectors_of(settings).items() if name != "webhook"]


def collectors_of(settings: Settings) -> dict[str, str]:
    """The services that are told of runs, by name, with their addresses."""
    wheres = {
        "langsmith": settings.langsmith_endpoint,
        "langfuse": settings.langfuse_host,
        "posthog": settings.posthog_host,
        "phoenix": settings.phoenix_endpoint,
        "otlp": settings.otlp_traces_endpoint or settings.otlp_endpoint,
        "webhook": settings.alert_webhook,
    }
    return {name: wheres[name] or "" for name in _told(settings)}


def _pairs(text: str | None) -> dict[str, str]:
    """`a=1,b=2` as OpenTelemetry writes headers and attributes, percent-encoded; what is no pair is passed over.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
    """
    pairs = (part.partition("=") for part in (text or "").split(","))
    return {unquote(name.strip()): unquote(value.strip()) for name, sign, value in pairs if sign and name.strip()}


def figures_of(report: Mapping[str, Any]) -> dict[str, float | int | str]:
    """Of a run's report, what is told with its trace: counts and sums."""
    cost, calls, chunks, graph = (report[name] for name in ("cost_usd", "calls", "chunks", "graph"))
    return {
        "status": report["status"],
        "exit_code": report["exit_code"],
        "wall_s": report["wall_s"],
        "documents": report["documents"]["seen"],
        **{f"chunks_{name}": chunks[name] for name in ("total", "written", "reused", "dead", "pending")},
        "error_rate": calls["error_rate"],
        "retried": calls["retried"],
        "rate_limited": calls["rate_limited"],
        "total_cost_usd": cost["total"],
        "wasted_usd": cost["wasted"],
        "entities_new": graph["entities_new"],
        "relationships_new": graph["relationships_new"],
    }


def scores_of(report: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """The share of replies that could be used, and of findings that the words bear out."""
    scores = {}
    replies = report["replies"]
    good = replies["valid"] + replies["repaired"]
    whole = good + replies["partial"] + sum(replies["invalid_by_reason"].values())
    if whole:
        scores["valid_replies"] = good / whole, f"{good} of {whole} replies of this run"
    grounding = report["graph"]["grounding"]
    counts = [grounding[name] for name in ("entities", "relationships")]
    findings = sum(sum(of.values()) for of in counts)
    if findings:
        grounded = findings - sum(of["unsupported"] for of in counts)
        scores["grounded"] = grounded / findings, f"{grounded} of {findings} findings of the workspace"
    return scores


def as_rows(states: Sequence[State]) -> list[dict[str, Any]]:
    """For the report: what became of each service's records."""
    return [
        {
            "service": one.service,
            "where": one.where,
            "sent": one.sent,
            "dropped": one.dropped,
            "trouble": one.trouble,
        }
        for one in states
    ]
