# jobdeck: everything is run from here. `make demo` and `make test` need python3, pip and make only.
PY := .venv/bin/python

.PHONY: help install demo test test-slow test-terminal test-clients test-spark lint format bench soak soak-executor soak-workers pictures lock clean
help:
	@echo "make demo           set up, start a server, run real jobs, kill and restart it, and tell what happened"
	@echo "make test           the tests (less than five minutes)"
	@echo "make test-slow      crash campaigns, floods, bombs and large models"
	@echo "make test-terminal  the console in a real terminal (tmux)"
	@echo "make test-clients   the published WebGME clients against jobdeck (node; brought where it can be)"
	@echo "make test-spark     jobs on Spark, local and on a cluster (Java 17, pyspark; brought where they can be)"
	@echo "make lint           ruff, mypy --strict, import contracts"
	@echo "make soak           the long crash test: hundreds of kill -9 at random moments"
	@echo "make soak-executor  the same for bundles and blobs: kill -9 in every stage of a job"
	@echo "make soak-workers   kill -9 of workers and server while their links break, and jobs go on"
	@echo "make bench          throughput and latency, each beside a peer or limit of the same run"
	@echo "make pictures       the pictures of the README, made from runs and fixed data"
	@echo "make install        a .venv with everything"

.venv/bin/python:
	python3 -m venv .venv
.venv/.installed: pyproject.toml requirements-dev.txt | .venv/bin/python
	$(PY) -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
install: .venv/.installed

demo: install
	.venv/bin/jobdeck demo

# Tests mostly wait for real processes, so more of them run at once than there are processors.
PYTEST := $(PY) -m pytest -q -n 4 --dist loadfile --ignore=tests/terminal --ignore=tests/clients --ignore=tests/spark
test: install
	$(PYTEST) -m "not slow"

test-slow: install
	$(PYTEST) -m slow

# Tests that need more than Python are lanes of their own: they bring what they need where they can.
test-terminal: install
	@command -v tmux >/dev/null || sh -c 'apt-get update -q && apt-get install -q -y tmux' >/dev/null 2>&1 || true
	@if command -v tmux >/dev/null; then $(PY) -m pytest -q tests/terminal; \
	else echo "NOT RUN: terminal, there is no tmux and it could not be installed"; fi

test-clients: install
	@if reason=$$(tests/clients/prepare); then $(PY) -m pytest -q -n 2 --dist loadfile tests/clients; else echo "NOT RUN: clients, $$reason"; fi

test-spark: install
	@if reason=$$(tests/spark/prepare); then $(PY) -m pytest -q -n 2 --dist loadfile tests/spark; else echo "NOT RUN: spark, $$reason"; fi

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

format: install
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: install
	$(PY) -m benchmarks

pictures: install
	$(PY) -m assets.make

soak: install
	$(PY) -m tests.e2e.soak

soak-executor: install
	$(PY) -m tests.e2e.executor_soak

soak-workers: install
	$(PY) -m tests.e2e.worker_soak

lock:
	uv pip compile --universal --python-version 3.11 --no-annotate --no-header --group dev pyproject.toml -o requirements-dev.txt

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
