# jobdeck: everything is run from here. `make demo` and `make test` need python3, pip and make only.
PY := .venv/bin/python

.PHONY: help install demo test lint format bench soak lock clean
help:
	@echo "make demo     set up, start a server, run real jobs, kill and restart it, and tell what happened"
	@echo "make test     all tests (less than five minutes)"
	@echo "make lint     ruff, mypy --strict, import contracts"
	@echo "make soak     the long crash test: hundreds of kill -9 at random moments"
	@echo "make bench    throughput and latency, each beside a peer or limit of the same run"
	@echo "make install  a .venv with everything"

.venv/bin/python:
	python3 -m venv .venv
.venv/.installed: pyproject.toml requirements-dev.txt | .venv/bin/python
	$(PY) -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
install: .venv/.installed

demo: install
	.venv/bin/jobdeck demo

test: install
	$(PY) -m pytest -q -n auto --maxprocesses 4 --dist loadfile

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

soak: install
	$(PY) -m tests.e2e.soak

lock:
	uv pip compile --universal --python-version 3.11 --no-annotate --no-header --group dev pyproject.toml -o requirements-dev.txt

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
