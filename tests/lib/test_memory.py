"""What a server has loaded is left alone by the garbage collector, and what comes later is not."""

import subprocess
import sys

from tests.gateway import ROOT

PROGRAM = """
import gc
gc.disable()
from gateway.lib.memory import keep_loaded
kept = [[]]
keep_loaded()
print(gc.isenabled(), gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000)
later = []
later.append(later)
del later
print(gc.collect() > 0)
"""


def test_only_what_comes_later_is_looked_through() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 4
