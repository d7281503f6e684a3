"""What is loaded once and stays: kept out of the garbage collector's sight.

Looking through all of it takes a sixth of a second, in which no till is answered; and while it is being loaded the
collector would look at it again and again, for a fifth of a start. So `manage.py` turns the collector off before a
server loads, and the server comes here when it has.
"""

import gc

# New objects until the young are looked through. A sale makes thousands, which nearly all die with it: looking after
# every 700, as Python does, was a tenth of the CPU time.
YOUNG = 20_000


def keep_loaded() -> None:
    """Take all that is alive now for permanent, and look for garbage from now on."""
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
    gc.enable()
