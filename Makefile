# `make run` and `make test` each do all the set-up on a machine with Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV := .venv/bin/

.PHONY: run test test-long lint clean

run: .venv/installed
	$(VENV)python run.py --config=configs/digits.py --workdir=runs/digits

test: .venv/installed
	$(VENV)python -m pytest -m "not long"

test-long: .venv/installed
	$(VENV)python -m pytest -m long

lint: .venv/installed
	$(VENV)ruff format --check .
	$(VENV)ruff check .

# The stamp is newer than what it was made from exactly when nothing needs to be installed.
.venv/installed: pyproject.toml constraints-cpu.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(f"Python 3.11 to 3.13 is needed, $(PYTHON) is {v}; try make PYTHON=python3.12 ..." if not (3, 11) <= v <= (3, 13) else 0)'
	$(PYTHON) -m venv .venv
	$(VENV)pip install --quiet --disable-pip-version-check --constraint constraints-cpu.txt --editable '.[cpu,dev]'
	touch $@

clean:
	rm -rf .venv runs dist
