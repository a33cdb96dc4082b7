# Everything runs in .venv; `make demo` and `make test` need Python 3.11+ and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two processes of one thread each: the tests are many and small, so threads would only wait.
SUITE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.PHONY: demo test test-slow check format lint types imports clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(READY)

demo: $(READY)  ## distil a teacher on the bundled digits, with its control, over three seeds
	$(BIN)/stillhouse run recipes/digits-kd.yaml -o runs/demo

test: $(READY)  ## all tests but the slow ones
	$(SUITE)

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

check: $(READY) lint types imports  ## what CI runs
	$(SUITE) --cov --cov-report=term --cov-fail-under=85

format: $(READY)
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(READY)
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

clean:
	rm -rf .venv build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache
