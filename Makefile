# Everything a newcomer, a developer and CI run. `make help` lists it.

PY := .venv/bin/python
BASE_PORT ?= 8400
SERVER_HOST ?= 127.0.0.1
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench growth profile fuzz mutants peers drill lock clean

help: ## list the targets
	@awk -F ' *## *' '/^[a-z]+:.*##/ { sub(/:.*/, "", $$1); printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv and install the locked dependencies (PYTHON=… chooses the Python)
	@scripts/setup.sh

run: setup ## start the demo: server, sample API, sample app (BASE_PORT=8400; SERVER_HOST=localhost for passkeys)
	@exec $(PY) -m latchstring.demo --base-port $(BASE_PORT) --server-host $(SERVER_HOST)

test: setup ## every check and every test, as CI runs them (ARGS='-k token' goes to pytest)
	@scripts/test_machine.sh
	@$(MAKE) --no-print-directory check
	@$(PY) -m pytest -n $(TEST_WORKERS) --dist loadgroup $(ARGS)

check: setup ## lint, format, types, and who may import whom
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo

format: setup ## rewrite the code as `make check` wants it
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

bench: setup ## measure the server beside others (ONLY='latchstring refresh' picks servers and operations)
	@exec $(PY) -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

growth: setup ## fill stores with 10 k, 1 M and 10 M grants and measure them (ENGINE=sqlite; needs 12 GB of disk)
	@exec $(PY) -m bench growth $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)

profile: setup ## where the server's time goes (OP=refresh; ENGINE=postgres)
	@exec $(PY) -m bench profile $(or $(OP),refresh) --engine $(or $(ENGINE),sqlite) $(ARGS)

fuzz: setup ## let coverage lead through every parser and endpoint (SECONDS=30 each; ONLY='scope introspect')
	@exec $(PY) -m tests.fuzz --seconds $(or $(SECONDS),30) $(ONLY)

mutants: setup ## change the rules one at a time and see whether a test fails (MODULE='rotation scope'; AGAIN=1: only those that lived; TESTS=tests/protocol: by these alone)
	@exec $(PY) -m tests.mutants $(if $(AGAIN),--again) $(TESTS:%=--tests %) $(MODULE)

peers: setup ## send the conformance cases to other servers as well, installed in .peers/ (needs npm)
	@exec $(PY) -m tests.peers $(ARGS)

drill: setup ## kill, race and starve real servers, with the numbers of docs/explanation/drills.md (takes half an hour)
	@scripts/test_machine.sh
	@DRILL_KILLS=$(or $(DRILL_KILLS),100) DRILL_RACES=$(or $(DRILL_RACES),10000) \
		$(PY) -m pytest -s tests/drills $(ARGS)

lock: ## write requirements/lock.txt anew (ARGS=--upgrade moves the pins)
	@scripts/lock.sh $(ARGS)

clean: ## remove what the targets made: .venv, the demo's data, caches, artefacts
	@rm -rf .venv .setup .demo .artifacts .peers build dist
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
