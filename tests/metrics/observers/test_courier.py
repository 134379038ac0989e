"""The courier: bounded in memory, in time and at exit, whatever a service does."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from metrics.observers.courier import HELD, HELD_OF_OTHERS, Couriers, Request
from metrics.observers.records import Call, Place, Record
from tests.collectors.fixture import Running
from tests.kg import wait_until
from tests.metrics.observers.test_tree import CALL

AT_ONCE = 0.9  # seconds at exit: as much as these tests want to wait for what hangs


@dataclass
class Told:
    """A Service that posts anything to an address."""

    where: str
    name: str = "Told"
    most: int = 10
    every_s: float = 60.0
    room: int = 100
    hint: str = "is the key right?"

    def wants(self, record: Record) -> bool:
        return True

    def requests(self, records: Sequence[Record]) -> list[Request]:
        return [Request(self.where, {}, b"{}", len(records))]

    def lost(self, status: int, content: bytes) -> int | None:
        return None if content.startswith(b"<") else 0


def record(content: str = "") -> Call:
    return Call(replace(CALL, id="0" * 32, asked=content), Place(((1.0, "1" * 32),)))


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, keep = logging.getLogger("kg.sinks"), Keep()
    logger.addHandler(keep)
    yield said
    logger.removeHandler(keep)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name in {"kg-sinks", "kg-lookup"}}


def test_what_is_told_arrives_at_the_latest_when_the_run_ends(collectors: Running, warnings: list[str]):
    couriers = Couriers([Told(f"{collectors.url}/__reset")])
    for _ in range(25):
        couriers.tell(record())
    (state,) = couriers.close()
    assert (state.sent, state.dropped, state.trouble) == (25, 0, "")
    assert warnings == []
    assert threads() == set()


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("401", "answers 401 (is the key right?)"),
        ("403", "answers 403 (is the key right?)"),
        ("429", "answers 429"),
        ("500", "answers 500"),
        ("html", "answers with something else than this service would (a web page?) (is the key right?)"),
        ("redirect", "answers 302 (is the key right?)"),
        ("reset", "breaks the connection"),
        ("hang", "did not take all of them in time"),
        ("drip", "did not take all of them in time"),
    ],
)
def test_a_bad_service_gets_one_line_and_nothing_is_left(collectors: Running, warnings: list[str], manner, said):
    collectors.be(otlp=manner)
    couriers = Couriers([Told(f"{collectors.url}/otlp/v1/traces")], at_exit_s=AT_ONCE)
    for _ in range(30):
        couriers.tell(record())
    (state,) = couriers.close()
    assert (state.sent, state.dropped) == (0, 30)
    assert state.trouble == said
    assert len(warnings) == 1
    assert f"Told ({collectors.url}/otlp/v1/traces) {said}: the run goes on" in warnings[0]
    assert threads() == set()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("http://127.0.0.1:9/nobody-listens", "can't be reached"),
        ("http://no-such-host.invalid/x", "can't be reached"),
        ("ftp://somewhere/x", "is no address (is the key right?)"),
        ("nonsense", "is no address (is the key right?)"),
        ("http://[::1", None),
        ("", None),
    ],
)
def test_an_address_where_nobody_is_gets_one_line(warnings: list[str], where, said):
    couriers = Couriers([Told(where)], at_exit_s=AT_ONCE)
    couriers.tell(record())
    (state,) = couriers.close()
    assert (state.sent, state.dropped) == (0, 1)
    assert said is None or state.trouble == said
    assert len(warnings) == 1
    assert threads() == set()


def test_one_bad_service_leaves_the_others_alone(collectors: Running, warnings: list[str]):
    bad, good = Told(closed_port(), "Bad"), Told(f"{collectors.url}/__reset", "Good")
    couriers = Couriers([bad, good], at_exit_s=AT_ONCE)
    for _ in range(50):
        couriers.tell(record())
    states = {state.service: state for state in couriers.close()}
    assert (states["Good"].sent, states["Bad"].dropped) == (50, 50)
    assert len(warnings) == 1


def test_no_more_records_are_held_than_there_is_room_for(collectors: Running, warnings: list[str]):
    collectors.be(all_of_them="hang")
    services = [Told(f"{collectors.url}/otlp/{number}", f"S{number}", room=HELD) for number in range(4)]
    couriers = Couriers(services, at_exit_s=AT_ONCE)
    one = record()
    for _ in range(HELD):
        couriers.tell(one)
    assert couriers.held <= HELD <= 10_000 - HELD_OF_OTHERS
    states = couriers.close()
    assert all(state.sent + state.dropped == HELD for state in states)
    assert len(warnings) == 4


def test_no_more_content_is_held_than_there_is_room_for(collectors: Running):
    collectors.be(all_of_them="hang")
    couriers = Couriers([Told(f"{collectors.url}/otlp/1", most=100, room=HELD)], at_exit_s=AT_ONCE)
    large = record("x" * 1_000_000)
    for _ in range(40):
        couriers.tell(large)
    assert couriers.held <= 17
    (state,) = couriers.close()
    assert state.dropped == 40


def test_a_service_that_comes_back_gets_what_was_kept_for_it(collectors: Running, warnings: list[str]):
    collectors.be(otlp="500")
    couriers = Couriers([Told(f"{collectors.url}/otlp/v1/traces", every_s=0.01)])
    couriers.tell(record())
    wait_until(lambda: collectors.requests().get("otlp", 0) >= 1)
    collectors.be(otlp="good")
    (state,) = couriers.close()
    assert collectors.requests()["otlp"] >= 2
    assert (state.sent, state.dropped, state.trouble) == (1, 0, "answers 500")
    assert len(warnings) == 1


def test_records_that_are_not_taken_cost_the_service_nothing_but_themselves(collectors: Running, warnings: list[str]):
    collectors.be(otlp="422")
    couriers = Couriers([Told(f"{collectors.url}/otlp/v1/traces", every_s=0.01)])
    couriers.tell(record())
    wait_until(lambda: couriers.states[0].dropped == 1)
    collectors.be(otlp="good")
    couriers.tell(record())
    (state,) = couriers.close()
    assert (state.sent, state.dropped) == (1, 1)
    assert state.trouble == "answers 422, and does not take 1 of 1 records"
    assert len(warnings) == 1


def test_closing_twice_and_telling_after_the_end_do_no_harm(collectors: Running):
    couriers = Couriers([Told(f"{collectors.url}/__reset")])
    couriers.tell(record())
    couriers.close()
    couriers.tell(record())
    (state,) = couriers.close()
    assert (state.sent, state.dropped) == (1, 1)


def test_without_services_there_is_no_thread():
    couriers = Couriers([])
    couriers.tell(record())
    assert threads() == set()
    assert couriers.close() == []
