"""Where a Qdrant server is and how to enter: checked before anything is sent, and never shown with a password."""

from __future__ import annotations

import base64
from urllib.parse import unquote, urlsplit

from core_engine.errors import SettingsError

_DEFAULT_PORT = 6333


def header_value(api_key: str | None) -> str | None:
    """The key without the line's end that a file leaves. What no header can hold is refused: errors would print it."""
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError("the key of the Qdrant server (QDRANT_API_KEY) holds characters that no key has")
    return key or None


def without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL with its port and without user and password, and those two."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError("the address of the Qdrant server (QDRANT_URL) must look like http://host:6333")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return f"{parts.scheme}://{host}:{port or _DEFAULT_PORT}{parts.path.rstrip('/')}", login


def basic(login: tuple[str, str]) -> str:
    """User and password as the header `authorization` says them."""
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()
