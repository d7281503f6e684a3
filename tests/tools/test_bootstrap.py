"""Finding the package index and the right wheel of uv, with nothing but the standard library."""

import base64
import hashlib
import io
import json
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tools import bootstrap

ROOT = Path(bootstrap.__file__).parent.parent
LINUX = {"system": "linux", "machine": "x86_64", "library": "glibc", "version": "2.36"}
ALPINE = {"system": "linux", "machine": "aarch64", "library": "musl", "version": "1.2"}
MAC = {"system": "darwin", "machine": "aarch64", "library": "macos", "version": "14.5"}


# Configuration


def test_without_any_setting_the_public_index_is_used():
    assert bootstrap.package_index({}, []) == bootstrap.PUBLIC_INDEX


def test_a_setting_of_uv_counts_more_than_one_of_pip():
    environment = {"UV_DEFAULT_INDEX": "https://uv.example/simple/", "PIP_INDEX_URL": "https://pip.example/simple"}
    assert bootstrap.package_index(environment, []) == "https://uv.example/simple"


def test_uv_may_give_its_index_a_name():
    assert bootstrap.package_index({"UV_DEFAULT_INDEX": "shop=https://uv.example/simple?a=b"}, []) == (
        "https://uv.example/simple?a=b"
    )


def test_the_index_stands_in_pips_configuration_file(tmp_path):
    system, user = tmp_path / "etc.conf", tmp_path / "home.conf"
    system.write_text("[global]\nindex-url = https://system.example/simple\ncert = /etc/company.pem\n")
    user.write_text("[install]\nindex-url = https://user.example/100%25/simple\n")
    assert bootstrap.package_index({}, [system]) == "https://system.example/simple"
    assert bootstrap.package_index({}, [system, user]) == "https://user.example/100%25/simple"
    assert bootstrap.package_index({"PIP_INDEX_URL": "https://env.example/simple"}, [system, user]) == (
        "https://env.example/simple"
    )
    assert bootstrap.pip_setting("cert", {}, [system, user]) == "/etc/company.pem"


def test_pips_files_are_read_from_the_system_to_the_person(tmp_path):
    files = bootstrap.pip_config_files({}, tmp_path)
    assert files.index(Path("/etc/pip.conf")) < files.index(tmp_path / ".config/pip/pip.conf")
    assert bootstrap.pip_config_files({"PIP_CONFIG_FILE": "/x.conf"}, tmp_path)[-1] == Path("/x.conf")
    assert bootstrap.pip_config_files({"PIP_CONFIG_FILE": os.devnull}, tmp_path) == []


def test_a_certificate_file_that_is_not_there_is_named():
    with pytest.raises(bootstrap.Trouble, match=r"/nowhere\.pem does not exist"):
        bootstrap.certificates({"PIP_CERT": "/nowhere.pem"}, [])


# Wheels


@pytest.mark.parametrize(
    ("tag", "here", "fits"),
    [
        ("manylinux_2_17_x86_64", LINUX, True),
        ("manylinux_2_36_x86_64", LINUX, True),
        ("manylinux_2_39_x86_64", LINUX, False),
        ("manylinux_2_17_aarch64", LINUX, False),
        ("musllinux_1_1_x86_64", LINUX, False),
        ("musllinux_1_1_aarch64", ALPINE, True),
        ("manylinux_2_28_aarch64", ALPINE, False),
        ("macosx_11_0_arm64", MAC, True),
        ("macosx_10_12_universal2", MAC, True),
        ("macosx_15_0_arm64", MAC, False),
        ("macosx_10_12_x86_64", MAC, False),
        ("win_amd64", LINUX, False),
        ("linux_x86_64", LINUX, True),
        ("any", MAC, True),
    ],
)
def test_a_wheel_is_for_one_kind_of_machine(tag, here, fits):
    assert bootstrap.runs_here(tag, here) is fits


def wheel(version: str, tags: str = "manylinux_2_17_x86_64.manylinux2014_x86_64", **more: object) -> dict[str, object]:
    return {"filename": f"uv-{version}-py3-none-{tags}.whl", "url": f"{version}.whl", "hashes": {}, **more}


def test_the_newest_release_that_runs_here_and_was_not_withdrawn_is_taken():
    files: list[dict[str, object]] = [
        wheel("0.9.2"),
        wheel("0.13.9"),
        wheel("0.13.10"),
        wheel("0.14.0", yanked="broken"),
        wheel("0.15.0", "musllinux_1_1_x86_64"),
        wheel("1.0.0"),
        wheel("0.16.0rc1"),
        {"filename": "uv-0.17.0.tar.gz", "url": "uv-0.17.0.tar.gz", "hashes": {}},
    ]
    assert bootstrap.choose_wheel(files, LINUX)["url"] == "0.13.10.whl"
    assert bootstrap.choose_wheel(files, {**LINUX, "library": "musl", "version": "1.2"})["url"] == "0.15.0.whl"


def test_a_machine_without_a_wheel_is_told_so():
    with pytest.raises(bootstrap.Trouble, match="no uv for darwin on aarch64"):
        bootstrap.choose_wheel([wheel("0.13.9")], MAC)


PAGE = b"""<!DOCTYPE html><html><body><h1>Links for uv</h1>
<a href="../../files/uv-0.13.9-py3-none-any.whl#sha256=abc" data-requires-python="&gt;=3.8">uv</a>
<a href="https://files.example/uv-0.13.8-py3-none-any.whl#sha256=def" data-yanked="">uv-0.13.8-py3-none-any.whl</a>
</body></html>"""


def test_an_index_answers_in_html_or_in_json():
    in_html = bootstrap.parse_index(PAGE, "text/html; charset=utf-8")
    assert [(file["filename"], file["yanked"]) for file in in_html] == [
        ("uv-0.13.9-py3-none-any.whl", False),
        ("uv-0.13.8-py3-none-any.whl", True),
    ]
    assert in_html[0]["hashes"] == {"sha256": "abc"}
    in_json = bootstrap.parse_index(json.dumps({"files": [wheel("0.13.9")]}).encode(), bootstrap.JSON_INDEX)
    assert in_json == [wheel("0.13.9")]


# Fetching, from an index of our own


def make_wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("uv/__init__.py", "")
        archive.writestr("uv-0.13.9.data/scripts/uv", "#!/bin/sh\necho a small uv\n")
    return file.getvalue()


WHEEL = make_wheel()
PASSWORD = "Basic " + base64.b64encode(b"till:se/cret").decode()


class Index(BaseHTTPRequestHandler):
    """A package index that wants a password and gives a right, a wrong or no hash, as its path says."""

    def do_GET(self) -> None:
        hashes = {"right": hashlib.sha256(WHEEL).hexdigest(), "wrong": "0" * 64, "none": ""}
        _, kind, *rest = self.path.split("/")
        if self.headers["Authorization"] != PASSWORD:
            self.answer(401, b"who are you?", "text/plain")
        elif rest == ["uv", ""]:
            name = "uv-0.13.9-py3-none-any.whl"
            self.answer(200, f'<a href="../{name}#sha256={hashes[kind]}">{name}</a>'.encode(), "text/html")
        else:
            self.answer(200, WHEEL, "application/octet-stream")

    def answer(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://till:se%2Fcret@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_uv_comes_out_of_its_wheel_ready_to_run(index, tmp_path):
    program = bootstrap.fetch_uv(tmp_path, f"{index}/right", "")
    assert subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout == "a small uv\n"


def test_a_wheel_with_another_hash_is_thrown_away(index, tmp_path):
    with pytest.raises(bootstrap.Trouble, match="is damaged"):
        bootstrap.fetch_uv(tmp_path, f"{index}/wrong", "")
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_without_a_hash_is_not_taken(index, tmp_path):
    with pytest.raises(bootstrap.Trouble, match="gives no SHA-256"):
        bootstrap.fetch_uv(tmp_path, f"{index}/none", "")


def test_the_password_of_an_index_is_never_shown(index, tmp_path):
    wrong = index.replace("se%2Fcret", "guessed") + "/right"
    with pytest.raises(bootstrap.Trouble, match="HTTP 401") as told:
        bootstrap.fetch_uv(tmp_path, wrong, "")
    assert "guessed" not in str(told.value)


def test_an_index_that_cannot_be_reached_is_named(tmp_path):
    with pytest.raises(bootstrap.Trouble, match=r"cannot be reached at http://127\.0\.0\.1:9/simple/uv/"):
        bootstrap.fetch_uv(tmp_path, "http://127.0.0.1:9/simple", "")


def certificate(name: str) -> tuple[bytes, bytes]:
    """A certificate that its owner signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now, day = datetime.now(UTC), timedelta(days=1)
    made = x509.CertificateBuilder(who, who, key.public_key(), 1, now - day, now + day).sign(key, hashes.SHA256())
    shape = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem), key.private_bytes(pem, *shape)


@pytest.fixture
def index_nobody_trusts(tmp_path: Path) -> Iterator[str]:
    """An index over HTTPS whose certificate it made itself."""
    file = tmp_path / "server.pem"
    file.write_bytes(b"".join(certificate("127.0.0.1")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a caller that does not trust us hangs up
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_missing_certificates_are_told_in_one_sentence_that_names_the_package(index_nobody_trusts, tmp_path):
    with pytest.raises(bootstrap.Trouble, match=r"no certificates .* apt-get install ca-certificates") as told:
        bootstrap.fetch_uv(tmp_path, index_nobody_trusts, "")
    assert str(told.value).count("\n") == 0


def test_a_certificate_that_is_not_trusted_names_the_setting(index_nobody_trusts, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate("somebody else")[0])
    with pytest.raises(bootstrap.Trouble, match=r"certificate of 127\.0\.0\.1 is not trusted by .* SSL_CERT_FILE"):
        bootstrap.fetch_uv(tmp_path, index_nobody_trusts, str(bundle))


# The whole


def test_an_environment_that_is_in_step_is_left_alone():
    command, stamp = [sys.executable, str(ROOT / "tools" / "bootstrap.py")], ROOT / ".venv" / ".installed"
    subprocess.run(command, capture_output=True, check=True)
    before = stamp.stat().st_mtime_ns
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    assert stamp.stat().st_mtime_ns == before


def test_a_virtual_environment_that_was_moved_or_broken_is_made_anew(tmp_path):
    venv = tmp_path / ".venv"
    assert not bootstrap.usable(venv)
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("version_info = 3.12.1\n")
    (venv / "bin" / "activate").write_text(f"VIRTUAL_ENV='{venv}'\n")
    (venv / "bin" / "python").symlink_to(sys.executable)
    assert bootstrap.usable(venv)
    (venv / "pyvenv.cfg").write_text("version = 3.10.4\n")
    assert not bootstrap.usable(venv)
    (venv / "pyvenv.cfg").write_text("version = 3.13.0\n")
    (venv / "bin" / "activate").write_text("VIRTUAL_ENV='/elsewhere/.venv'\n")
    assert not bootstrap.usable(venv)
