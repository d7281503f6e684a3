"""How the simulator is started."""

import subprocess
import sys

from tests.gateway import ROOT


def test_it_is_started_without_django_which_takes_seconds_to_load() -> None:
    asked = (
        "import runpy, sys; sys.argv = ['manage.py', 'run_simulator', '--help']\n"
        "try: runpy.run_path('manage.py', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, [name for name in sys.modules if name == 'django.db.models'])"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--flavour" in done.stdout and done.stdout.strip().endswith("0 []")
