# make demo     environment, then three photos to content-aware JPEGs and a report
# make test     environment, then all tests
# make fuzz     2,000 damaged files of every codec (FUZZ=N, FUZZ_SEED=N)
# make fuzz-deep  a search for bytes that break a decoder (SECONDS=N of each)
# make soak     2,000 calls of every codec: does memory grow? (SOAK=N)
# make audit    known faults of what is installed, where the network tells
# make lint     style of the code
# make venv     the environment alone (.venv), for Python 3.10 or 3.11
# make docs     the site of docs/ in site/
# make wheel    dist/*.whl, with the shipped models
# make results  DATA_DIR=DIR: measure all codecs on DIR/kodak, write docs/RESULTS.md

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2
# The first interpreter that runs and that TensorFlow 2.14 exists for.
PYTHON ?= $(shell for python in python3.11 python3.10 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))' \
	2>/dev/null && echo $$python && break; done)

.PHONY: demo test fuzz fuzz-deep audit soak lint format venv docs wheel results clean

demo: $(STAMP)
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python recipes/demo.py --out=demo_output

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests

fuzz: $(STAMP)
	TFSEMCOMP_FUZZ=$(or $(FUZZ),2000) TFSEMCOMP_FUZZ_SEED=$(or $(FUZZ_SEED),0) \
	 $(BIN)/python -m pytest -q -n $(JOBS) tests/fuzz

# Each decoder so many seconds; what is found is kept in build/fuzz.
fuzz-deep: $(STAMP)
	$(BIN)/python -m pip install -q -e ".[fuzz]"
	set -e; for target in container mixing caption structure; do \
	 $(BIN)/python -m tests.fuzz.deep $$target $(or $(SECONDS),300); done

# Its own environment: its dependencies are none of ours.
audit: $(STAMP)
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install -q "pip-audit>=2.7,<3"
	build/audit/bin/pip-audit --strict --skip-editable \
	 --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

soak: $(STAMP)
	TFSEMCOMP_SOAK=$(or $(SOAK),2000) \
	 $(BIN)/python -m pytest -q -s tests/trust/test_memory.py

results: $(STAMP)
	@if [ -z "$(DATA_DIR)" ]; then echo "error: name the folder that has the 24 Kodak\
	 pictures in kodak/: make results DATA_DIR=FOLDER" >&2; exit 1; fi
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python recipes/benchmark_codecs.py \
	 --images="$(DATA_DIR)/kodak" --out=results/codecs --docs=docs \
	 --workers=$(JOBS)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

wheel: $(STAMP)
	$(BIN)/python -m build --wheel --no-isolation

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(STAMP)

$(STAMP): setup.py
	@if [ -z "$(PYTHON)" ]; then echo "error: tfsemcomp needs Python 3.10 or 3.11\
	 (TensorFlow 2.14 exists for no other); install python3.11 with its venv module\
	 and run make again." >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q -e '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist *.egg-info demo_output site
