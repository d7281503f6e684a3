# `make` alone lists the targets. Each installs what it needs into .venv first; when nothing changed that takes no time.

PYTHON ?= python3
PY := .venv/bin/python
PYTEST := .venv/bin/pytest -n 2 --dist loadgroup

# The tests start hundreds of Pythons: without bytecode on the disk each compiles anew all that it imports
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check fix chaos bench openapi requirements product tools

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'

demo: product ## gateway and simulated KRA on this machine, one sale signed (ONCE=1 checks and ends, PORT=8001)
	@$(PY) -m gateway.ops demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

test: tools ## all tests, on SQLite and again on PostgreSQL (ARGS="-k word" for some)
	@$(PY) tools/provision.py
	@$(PYTEST) --database sqlite $(ARGS); sqlite=$$?; \
	$(PYTEST) --database postgres $(ARGS); postgres=$$?; \
	exit $$((sqlite || postgres))

check: tools ## format, lint, types, layers, migrations, generated files, links, advisories
	@$(PY) tools/check.py

fix: tools ## format and mend what can be mended by machine
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

openapi: product ## write docs/reference/openapi.json
	@$(PY) tools/check.py --write openapi

requirements: tools ## write requirements.txt from uv.lock
	@$(PY) tools/check.py --write requirements

product:
	@$(PYTHON) tools/bootstrap.py

tools:
	@$(PYTHON) tools/bootstrap.py --groups dev servers

chaos: tools ## break the real processes on purpose, compare with KRA (SEEDS=20 FIRST=1 SHAPE=both, or SHORT=1)
	@$(PY) tools/provision.py
	@$(PY) -m tests.chaos --seeds $(or $(SEEDS),20) --first-seed $(or $(FIRST),1) --shape $(or $(SHAPE),both) \
		$(if $(SHORT),--short)

bench: tools ## measure speed beside yardsticks of the same run (CASES="B1 B3", SECONDS=10, FULL=1)
	@$(PY) tools/provision.py
	@$(PY) -m tests.bench $(CASES) --seconds $(or $(SECONDS),10) $(if $(FULL),--full)
