"""A KRA that listens on a port: OSCU direct, GavaConnect and VSCU, and misbehaves on request.

It is written from the specification alone. It imports nothing of ``gateway.kra`` (it reads the same data files), so
that
one misreading cannot hide on both sides. Nothing it signs is a receipt: its control unit ids start with ``SIM``.
"""
