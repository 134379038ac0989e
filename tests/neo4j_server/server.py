"""Starts and stops a Neo4j of our own, by Docker or by Java with the jars of Maven Central."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import neo4j

VERSION = "5.26.12"
PASSWORD = "kg-tests-only"
HERE = Path(__file__).parent

_JAVA_OPTIONS = [
    "-Xms512m",
    "-Xmx1g",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dlog4j2.disable.jmx=true",
]


class CannotStart(Exception):
    """No Neo4j can be had here; says why."""


@dataclass(frozen=True)
class Address:
    """Where a Neo4j answers, and as whom."""

    uri: str
    user: str
    password: str
    database: str = "neo4j"

    def driver(self) -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(self.uri, auth=(self.user, self.password))

    @property
    def env(self) -> dict[str, str]:
        """What names it to `kg`."""
        return {
            "NEO4J_URI": self.uri,
            "NEO4J_USERNAME": self.user,
            "NEO4J_PASSWORD": self.password,
            "NEO4J_DATABASE": self.database,
        }


@dataclass
class Server:
    """A Neo4j on a free port with its data in a temporary folder: it can be killed, and started again on its data."""

    address: Address
    home: Path
    command: list[str]
    _keeper: subprocess.Popen[bytes] | None = None
    _log: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Return when it answers. Raises CannotStart with the end of its log otherwise."""
        self._log.clear()
        self._keeper = subprocess.Popen(
            [sys.executable, str(HERE / "keeper.py"), str(self.home), *self.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its own group, which kill() can end as a whole
        )
        # Read to the end, always: a full pipe would stop the server.
        threading.Thread(target=self._read, args=(self._keeper,), daemon=True).start()
        deadline = time.monotonic() + 180
        while not self._answers():
            if self._keeper.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart("Neo4j did not start:\n" + "".join(self._log[-20:]))
            time.sleep(0.2)

    def kill(self) -> None:
        """End it at once: no shutdown, no checkpoint. Only one of Java's is `killable`."""
        if self._keeper is not None:
            os.killpg(self._keeper.pid, signal.SIGKILL)
            self._wait()

    def stop(self) -> None:
        """End it in good order. Its data stays until `remove`."""
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.write(b"k")
                self._keeper.stdin.close()
            self._wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _wait(self) -> None:
        assert self._keeper is not None
        self._keeper.wait()
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
        self._keeper = None

    def _read(self, keeper: subprocess.Popen[bytes]) -> None:
        assert keeper.stdout is not None
        with keeper.stdout as lines:
            self._log.extend(line.decode(errors="replace") for line in lines)

    def _answers(self) -> bool:
        port = int(self.address.uri.rpartition(":")[2])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return _set_password(self.address)
        return False


def new_server(*, killable: bool = False) -> Server:
    """A server that is not yet started, by Docker or else by Java. Raises CannotStart where neither works.

    A `killable` one is always by Java: a container's data would go with it.
    """
    port = _free_port()
    address = Address(f"bolt://127.0.0.1:{port}", "neo4j", PASSWORD)
    if not killable and _docker_works():
        return Server(address, Path(tempfile.mkdtemp(prefix="kg-neo4j-")), _docker_command(port))
    jars = _jars()
    home = Path(tempfile.mkdtemp(prefix="kg-neo4j-"))
    return Server(address, home, _java_command(jars, home, port))


def _set_password(address: Address) -> bool:
    """True once the server takes our password; a new one wants its first password changed before anything else."""
    driver = neo4j.GraphDatabase.driver(address.uri, auth=("neo4j", "neo4j"))
    with contextlib.suppress(neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError), driver:
        driver.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $password", password=PASSWORD, database_="system"
        )
    with contextlib.suppress(neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError), address.driver() as driver:
        driver.execute_query("RETURN 1", database_=address.database)
        return True
    return False


# --- Docker ----------------------------------------------------------------------------------------------------------


def _docker_works() -> bool:
    docker = shutil.which("docker")
    return docker is not None and _succeeds([docker, "info"])


def _docker_command(port: int) -> list[str]:
    # Attached, and with --rm: when the keeper ends the client, Docker stops the container and its data goes with it.
    return [
        "docker",
        "run",
        "--rm",
        "--publish",
        f"127.0.0.1:{port}:7687",
        "--env",
        "NEO4J_dbms_usage__report_enabled=false",
        "--env",
        "NEO4J_server_memory_heap_max__size=1g",
        f"neo4j:{VERSION}-community",
    ]


# --- Java ------------------------------------------------------------------------------------------------------------


def _java_command(jars: Path, home: Path, port: int) -> list[str]:
    settings = {
        "dbms.usage_report.enabled": "false",
        "server.default_listen_address": "127.0.0.1",
        "server.bolt.enabled": "true",
        "server.bolt.listen_address": f"127.0.0.1:{port}",
        "server.http.enabled": "false",
        "server.https.enabled": "false",
        "server.memory.pagecache.size": "256m",
    }
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    entry = "org.neo4j.server.CommunityEntryPoint"
    classes = str(jars / "*")
    return ["java", *_JAVA_OPTIONS, "-cp", classes, entry, f"--home-dir={home}", "--console-mode", *options]


def _jars() -> Path:
    """The folder of the server's jars, fetched once per machine. Raises CannotStart without Java 17 or Maven."""
    if (java := _java_version()) < 17:
        raise CannotStart("no NEO4J_URI is set, Docker doesn't run, and there is no Java 17 or newer")
    if java > 25:
        raise CannotStart(f"Neo4j {VERSION} doesn't run on Java {java}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kg-tests"
    jars = cache / f"neo4j-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        if not jars.exists():
            _fetch(jars)
    return jars


def _fetch(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStart("no NEO4J_URI is set, Docker doesn't run, and there is no Maven (mvn) to fetch Neo4j with")
    with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
        shutil.copy(HERE / "pom.xml", folder)
        fetched = subprocess.run(
            [
                maven,
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                "-DoutputDirectory=lib",
                f"-Dneo4j.version={VERSION}",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        if fetched.returncode != 0:
            raise CannotStart("Maven could not fetch Neo4j:\n" + (fetched.stdout + fetched.stderr)[-2000:])
        Path(folder, "lib").rename(jars)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # SQLite's lock is let go of when its process dies, and is the same on all systems.
    with contextlib.closing(sqlite3.connect(path, timeout=1200, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield


def _java_version() -> int:
    java = shutil.which("java")
    if java is None:
        return 0
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    return int(found[1]) if found else 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
