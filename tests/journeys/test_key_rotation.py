"""Master key and data keys are changed under a gateway that sells: no till notices."""

import base64
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.gateway import ROOT, Gateway, Shop, gateway, ledger_of
from tests.servers import Simulator

SALES = 500


def manage(running: Gateway, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=running.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_keys_are_changed_during_500_sales_and_none_fails(
    tmp_path: Path, database_url: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    file = tmp_path / "master-keys"
    file.write_text(old)
    monkeypatch.delenv("ENCRYPTION_KEY")
    with gateway(tmp_path, database_url, simulator, ENCRYPTION_KEY_FILE=str(file), RUN_SCHEDULER="false") as running:
        shops = [running.onboard(simulator) for _ in range(4)]
        answers: list[tuple[Shop, int, str]] = []
        failed: list[object] = []

        def sell(shop: Shop, start: int) -> None:
            for number in range(start, SALES, len(shops) * 2):
                try:
                    answer = shop.sell(f"POS-{number}", wait=30)
                    answers.append((shop, answer.status, answer.body["id"]))
                    if answer.status not in {201, 202}:
                        failed.append(answer)
                except (OSError, KeyError, AssertionError) as error:
                    failed.append(error)

        tills = [threading.Thread(target=sell, args=(shops[n % len(shops)], n)) for n in range(len(shops) * 2)]
        for till in tills:
            till.start()
        said: list[str] = []
        changed_while_selling = 0
        while any(till.is_alive() for till in tills) or changed_while_selling == 0:
            before = len(answers)
            if not said:
                file.write_text(f"{new}\n{old}")
                said.append(manage(running, "rotate_keys"))
                assert "No longer needed" in said[0]
                file.write_text(new)
            said.append(manage(running, "rotate_keys", "--data-keys"))
            changed_while_selling += len(answers) > before
            assert "companies: 4 of 4" in said[-1] and len(said) < 200
        for till in tills:
            till.join()
        assert failed == [] and len(answers) == SALES
        for shop, status, public_id in answers:
            assert status == 201 or shop.settled(public_id, seconds=60)["status"] == "signed"
        for shop in shops:
            numbers = [number for number, _ in ledger_of(simulator, shop)]
            assert numbers == list(range(1, SALES // len(shops) + 1))
        log = running.log.read_text(encoding="utf-8")
        assert old not in log and new not in log and "Traceback" not in log
