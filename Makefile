# Everything runs in .venv; `make demo` and `make test` need Python 3.11+ and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# A second environment: the newest torch with the packages that networks and files come from.
ECOSYSTEM := .venv-ecosystem/bin
ECOSYSTEM_READY := .venv-ecosystem/.ready
# Two processes of one thread each: the tests are many and small, so threads would only wait.
SUITE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

DOCS_READY := .venv/.docs-ready

TORCH_DEPENDENT := tests/engine tests/functional tests/losses tests/students src/stillhouse/engine src/stillhouse/functional

RELEASE := .venv-release/bin
RELEASE_READY := .venv-release/.ready

.PHONY: demo test test-ecosystem test-slow docs package check format lint types imports clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(READY)

$(ECOSYSTEM_READY): pyproject.toml constraints-ecosystem.txt
	$(PYTHON) -m venv .venv-ecosystem
	$(ECOSYSTEM)/python -m pip install --quiet --disable-pip-version-check -c constraints-ecosystem.txt -e ".[dev,ecosystem]"
	touch $(ECOSYSTEM_READY)

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	touch $(DOCS_READY)

demo: $(READY)  ## distil a teacher on the bundled digits, with its control, over three seeds
	$(BIN)/stillhouse run recipes/digits-kd.yaml -o runs/demo

test: $(READY)  ## all tests but the slow ones; WITH_COVERAGE=yes measures what they reach
	$(SUITE) $(if $(WITH_COVERAGE),--cov --cov-report=term --cov-fail-under=85)

# What depends on the version of torch is tried there too: formulas, losses, engine, int8 students.
test-ecosystem: $(ECOSYSTEM_READY)  ## the newest torch, timm, torchvision, transformers, onnxruntime
	OMP_NUM_THREADS=1 $(ECOSYSTEM)/python -m pytest -n 2 -m "not slow" $(TORCH_DEPENDENT) tests/ecosystem

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# Warnings are errors, links within the site among them; those that leave it are listed, not asked.
docs: $(DOCS_READY)  ## the site, in build/docs; needs neither network, data nor GPU
	$(BIN)/python -m sphinx -E -W --keep-going -b html docs build/docs

$(RELEASE_READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-release
	$(RELEASE)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build twine
	touch $(RELEASE_READY)

package: $(RELEASE_READY)  ## the archives of a release, built and checked as the index does; publishes nothing
	rm -rf dist build/lib build/bdist.*
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(RELEASE)/python -m build --outdir dist . > dist.log || { cat dist.log; exit 1; }
	rm dist.log
	$(RELEASE)/twine check --strict dist/*

check:  ## what CI runs
	./.ci/run

format: $(READY)
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(READY)
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

clean:
	rm -rf .venv .venv-ecosystem .venv-release build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache
