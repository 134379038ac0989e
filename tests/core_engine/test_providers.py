"""Who answers at an address."""

from __future__ import annotations

import pytest

from core_engine.providers import provider_of


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://us-east.openai.azure.com/openai/v1", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "google"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://127.0.0.1:54321/v1", "local"),
        ("https://llm.example.org/v1", "llm.example.org"),
        ("https://notopenai.com", "notopenai.com"),
        ("http://[::1]:99999/v1", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_provider_is_known_by_its_host(endpoint, name):
    assert provider_of(endpoint) == name
