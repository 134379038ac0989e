"""Which provider answers at an address, by the names that OpenTelemetry, PostHog and LangSmith know."""

from __future__ import annotations

from urllib.parse import urlsplit

_BY_HOST = {
    "openai.com": "openai",
    "openai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
    "googleapis.com": "google",
    "mistral.ai": "mistral",
    "groq.com": "groq",
    "deepseek.com": "deepseek",
    "x.ai": "xai",
    "together.xyz": "together",
    "fireworks.ai": "fireworks",
    "amazonaws.com": "aws",
    "ollama.com": "ollama",
}
_BY_PORT = {11434: "ollama", 8000: "vllm", 8080: "llama.cpp", 4000: "litellm"}  # where local ones listen by default


def provider_of(endpoint: str) -> str:
    """A short name; of a server that nobody knows its host's. Never ''."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "unknown"
    labels = host.split(".")
    for at in range(len(labels) - 1):
        if name := _BY_HOST.get(".".join(labels[at:])):
            return name
    if host in {"localhost", "127.0.0.1", "::1"}:
        return _BY_PORT.get(port or 0, "local")
    return host or "unknown"
