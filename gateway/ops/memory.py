"""What is loaded once and stays: kept out of the garbage collector's sight.

Looking through all of it takes a sixth of a second, in which no till is answered; and while it is being loaded the
collector would look at it again and again, for a fifth of a start. So `manage.py` turns the collector off before a
server loads, and the server comes here when it has.
"""

import gc


def keep_loaded() -> None:
    """Take all that is alive now for permanent, and look for garbage from now on."""
    gc.freeze()
    gc.enable()
