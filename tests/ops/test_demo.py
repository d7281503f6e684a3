"""The demo: everything started on one machine, and what it says about itself is true."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys

import pytest

from gateway.ops import demo
from gateway.ops.children import free_port

pytestmark = pytest.mark.xdist_group("demo")


def test_the_first_run_signs_a_sale_and_both_sides_agree(played):
    assert played.wrong == []
    told = "\n".join(played.said)
    assert "DEMO-0001 signed as number 1" in told
    assert "SIMULATED" in told
    assert "▀" in told  # the QR code
    for name in ("Receipt page", "KRA's page (QR)", "API reference", "Simulated KRA"):
        assert name in told


def test_the_next_sale_gets_the_next_reference(shop):
    before = int((shop.demo.folder / "last_sale").read_text())
    assert demo.make_sale(shop.demo)["reference"] == f"DEMO-{before + 1:04d}"


def test_a_counter_that_fell_behind_skips_what_is_known(shop):
    known = demo.make_sale(shop.demo)["reference"]
    (shop.demo.folder / "last_sale").write_text("0")
    assert demo.make_sale(shop.demo)["reference"] > known


def test_a_known_company_is_not_onboarded_again(shop):
    assert demo.company_key(shop.demo.gateway, shop.demo.folder) == shop.demo.key


def test_a_lost_key_is_told_with_its_remedy(shop, tmp_path):
    with pytest.raises(demo.DemoFailed, match=f"its key is lost. Start afresh: rm -r {tmp_path}"):
        demo.company_key(shop.demo.gateway, tmp_path)


def test_secrets_are_readable_by_their_owner_only(played):
    for name in ("SECRET_KEY", "ENCRYPTION_KEY", "key"):
        assert stat.S_IMODE((played.demo.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(played.demo.folder.stat().st_mode) == 0o700


def test_secrets_are_kept_between_runs(played):
    first, second = demo.settings_of(played.demo), demo.settings_of(played.demo)
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert first["ENCRYPTION_KEY"] == second["ENCRYPTION_KEY"]


def test_a_demo_never_touches_the_database_of_the_environment(played, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://real/books")
    monkeypatch.setenv("KRA_SANDBOX_BASE_URL", "https://kra.example")
    settings = demo.settings_of(played.demo)
    assert settings["DATABASE_URL"] == f"sqlite:///{played.demo.folder / 'gateway.sqlite3'}"
    assert settings["KRA_SANDBOX_BASE_URL"].startswith(played.demo.simulator)


def test_the_command_that_it_prints_works_when_pasted_twice(shop, ledger_size):
    if not shutil.which("curl"):
        pytest.skip("curl is missing; install it with: apt-get install curl")
    pasted, before = demo.curl_of(shop.demo), ledger_size()
    first, second = (subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, check=True) for _ in "12")
    answers = [json.loads(answer.stdout) for answer in (first, second)]
    assert answers[0]["status"] == "signed"
    assert answers[0]["receipt"] == answers[1]["receipt"]
    assert ledger_size() == before + 1


def test_a_sale_that_only_kra_knows_is_noticed(shop):
    found = demo.make_sale(shop.demo)
    ours = demo.signed_by_us(shop.demo)
    assert ours[found["number"]][0] == found["reference"]
    assert ours == demo.recorded_by_kra(shop.demo)


def test_a_sale_that_is_not_signed_fails_the_demo(shop):
    shop.simulator.fault("sales_save", "result_code", code="910", message="Request parameter error", times=1)
    refused = demo.make_sale(shop.demo)
    assert [text[:34] for text in demo.problems_of(shop.demo, refused)] == ["The sale is not signed but refused"]


def test_a_taken_port_is_named_with_the_remedy(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with pytest.raises(demo.DemoFailed, match=f"Port {port} is taken .* PORT={port + 1} make demo"):
            demo.run(port=port, folder=tmp_path)


def test_two_demos_do_not_share_a_folder(tmp_path):
    with demo.only_one(tmp_path), pytest.raises(demo.DemoFailed, match="running already"), demo.only_one(tmp_path):
        pass


def test_a_whole_run_ends_with_zero_and_leaves_neither_servers_nor_links_to_them(tmp_path):
    said: list[str] = []
    port = free_port()
    assert demo.run(port=port, once=True, folder=tmp_path, say=said.append) == 0
    assert said[-1].startswith("All checks hold")
    assert [text.split()[0] for text in said if "http://" in text] == ["Simulated", "Gateway"]  # told while they start
    with pytest.raises(OSError, match="refused"):
        demo.call("GET", f"http://127.0.0.1:{port}/health/")


def test_troubles_are_told_in_a_sentence_not_in_a_trace(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        arguments = ["demo", "--once", "--folder", str(tmp_path), "--port", str(door.getsockname()[1])]
        program = [sys.executable, "-m", "gateway.ops", *arguments]
        done = subprocess.run(program, capture_output=True, text=True, check=False, env=dict(os.environ), cwd=demo.ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("Port ")
    assert done.stderr.count("\n") == 1
