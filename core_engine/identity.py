"""Ids that come from what a thing is, never from a counter: the same input gives the same graph everywhere."""

from __future__ import annotations

import hashlib
import uuid

_ROOT = uuid.UUID("6f1c7c56-6f2c-5f0e-9a53-6b672d626174").bytes


def _uuid(*parts: str) -> str:
    # UUIDv5 (RFC 9562) of length-prefixed parts, so that no two lists of parts read the same. By hand, because
    # uuid.uuid5 refuses the unpaired surrogates that a JSON transcript may hold, and takes twice the time.
    name = "".join([f"{len(p)}:{p}" for p in parts]).encode("utf-8", "surrogatepass")
    value = bytearray(hashlib.sha1(_ROOT + name, usedforsecurity=False).digest()[:16])
    value[6] = value[6] & 0x0F | 0x50  # version
    value[8] = value[8] & 0x3F | 0x80  # variant
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def document_id(workspace: str, path: str, record: str = "") -> str:
    return _uuid("document", workspace, path, record)


def chunk_id(document: str, text: str, occurrence: int) -> str:
    """`occurrence` counts from 0 how often the same text came before in the document."""
    return _uuid("chunk", document, text, str(occurrence))


def atom_id(workspace: str, scope: str, norm: str) -> str:
    """`scope` is a document id for role labels and lone given names, '' for the whole workspace."""
    return _uuid("atom", workspace, scope, norm)


def entity_id(smallest_atom: str) -> str:
    return _uuid("entity", smallest_atom)


def relationship_id(source: str, kind: str, target: str) -> str:
    return _uuid("relationship", source, kind, target)


def statement_id(chunk: str, subject_atom: str, predicate: str, object_atom: str, turn: int) -> str:
    return _uuid("statement", chunk, subject_atom, predicate, object_atom, str(turn))


def digest(*parts: str) -> bytes:
    """A 16-byte key of the parts, in order. Unpaired surrogates are text like any other."""
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.digest()


def share(identity: str) -> float:
    """A number from 0 up to, not including, 1 that is always the same for one id, and spread evenly over many."""
    return int.from_bytes(digest("share", identity)[:6], "big") / 2**48


def short_hash(text: str) -> str:
    """Twelve hexadecimal digits that are others as soon as a letter of the text is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
