"""A library with a known hole fails the check; an advisory service out of reach does not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.ops.children import free_port
from tools import audit

HOLE = {
    "id": "GHSA-test-0001",
    "summary": "Opens the till",
    "affected": [
        {
            "package": {"name": "leaky", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """Knows one hole, in `leaky`."""

    def do_GET(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"vulns": [HOLE]} if asked["package"]["name"] == "leaky" else {})

    def answer(self, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def pinned(folder: Path, name: str) -> Path:
    file = folder / "requirements.txt"
    file.write_text(f"{name}==1.0\n", encoding="utf-8")
    return file


def test_a_library_with_a_known_hole_is_named(
    tmp_path: Path, advisories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not audit.is_sound(pinned(tmp_path, "leaky"), advisories=advisories)
    told = capsys.readouterr().out
    assert "leaky" in told and "GHSA-test-0001" in told and "1.1" in told


def test_sound_libraries_pass_without_a_word(
    tmp_path: Path, advisories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.is_sound(pinned(tmp_path, "solid"), advisories=advisories)
    assert not capsys.readouterr().out


def test_without_internet_it_is_said_and_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert audit.is_sound(pinned(tmp_path, "leaky"), advisories=f"http://127.0.0.1:{free_port()}/v1/query")
    assert "cannot be reached: the libraries were not audited" in capsys.readouterr().out
