"""Fixtures for all tests: real servers, each a process of its own, started once when the first test asks for it."""

import logging

import pytest

from core_engine.loggers import OURS
from tests.browser.fixture import _chromium, open_page
from tests.collectors.fixture import _collectors_process, collectors
from tests.neo4j_server.fixture import neo4j_server
from tests.openai_server.fixture import openai_server, openai_server_pool
from tests.qdrant_face.fixture import _face_process, qdrant_face

# A fixture is found where it is imported; a second import in a folder's conftest would be a second server.
__all__ = [
    "_chromium",
    "_collectors_process",
    "_face_process",
    "collectors",
    "neo4j_server",
    "open_page",
    "openai_server",
    "openai_server_pool",
    "qdrant_face",
]


@pytest.fixture(autouse=True)
def _nobody_elses_logging() -> None:
    """A command sets our loggers up for its whole process; each test finds them as they are in a fresh one."""
    for name in OURS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
