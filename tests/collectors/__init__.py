"""Collectors for tests: a server that takes what LangSmith, Langfuse, PostHog, Phoenix and OTLP collectors take, or is bad."""
