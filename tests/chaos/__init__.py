"""Break the real gateway on purpose and compare what KRA recorded with what the gateway told its callers.

`python -m tests.chaos --seeds 20` is `make chaos`. A seed fixes everything that is chosen here: the faults, when they
strike and whom, the references and amounts. What the machine does with it (which process wins a race) it cannot fix.
"""
