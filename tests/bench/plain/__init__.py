"""The plain way, as a yardstick: one Django view with the ORM that writes, calls KRA, and writes again.

What most integrations do: no lanes, no group commit, no recovery. A row of the device is locked while KRA is called, or
two sales would take one number. `python -m tests.bench.plain --port N` serves it by uvicorn, Django behind threads.
"""
