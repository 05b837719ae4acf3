# make demo   the whole job on synthetic lesions, under NNI      make test   all tests
# make check  lint and the quick tests: before every commit      make docs   the documentation as a site, in build/site
# make bench  speed, compared with NNI's own ENAS too, which gets an environment of its own; an hour
# make bench-job DATA=BUSI   how long the whole job takes on your lesion images; an hour
# make lint   ruff and mypy      make env   only the environment      make clean   removes what make made
# make wheel  installs the wheel in a new environment and runs the quickstart there; minutes, 7 GB
# make findings   whether other packages still do what findings/ says; half an hour, several downloads

VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.installed
DOCS_READY = $(VENV)/.docs-installed
# The tested versions of Python. Make takes the first interpreter of these versions that can create environments, from the
# path, then from pyenv. `make env PYTHONS=3.13` asks for that version, `make env PYTHON=/path/to/python3` for that interpreter.
PYTHONS = 3.11 3.12 3.13
PYENV_ROOT ?= $(HOME)/.pyenv
PYTHON ?= $(firstword $(foreach p,$(PYTHONS:%=python%) python3 python \
	$(foreach v,$(PYTHONS),$(wildcard $(PYENV_ROOT)/versions/$v.*/bin/python)),$(shell $p -c \
	'import sys, venv, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv)' $(PYTHONS) 2>/dev/null && echo $p)))

NNI_VENV ?= .venv-nni
NNI_READY = $(NNI_VENV)/.installed
BENCHMARKS = start allocator weight_sharing machine_limit layers svm retraining growth verify patches cuda
QUICK = tests/search_space tests/trials/data tests/trials/evaluation tests/trials/settings tests/trials/test_cli.py \
	tests/trials/test_arguments.py tests/trials/test_files.py tests/test_bad_input.py tests/test_docs.py tests/test_errors.py \
	tests/test_package_order.py tests/test_where_is_it.py tests/test_wheel.py
SLOW = tests/trials/data/test_duplicates.py

.PHONY: env versions python demo test quick check lint docs wheel bench bench-job findings clean

env: $(READY)

# .ci/run asks for these: the tested versions, and the interpreter that would make the environment (an empty line: none).
versions:
	@echo $(PYTHONS)
python:
	@echo $(PYTHON)

# Without a suitable interpreter uv fetches one, if it is installed.
$(BIN)/python:
	@test -n "$(PYTHON)" || command -v uv >/dev/null || { echo "lesion-nas needs Python $(firstword $(PYTHONS)) to" \
		"$(lastword $(PYTHONS)) with pip and venv: install one, or name it: make env PYTHON=/path/to/python3.13; or" \
		"install uv, with which make fetches one" >&2; exit 1; }
	$(if $(PYTHON),,uv python install --no-bin $(lastword $(PYTHONS)))
	$(or $(PYTHON),"$$(uv python find --managed-python $(lastword $(PYTHONS)))") -m venv $(VENV)

# Installed again only when the required packages change.
$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing in $(VENV): up to 7 GB on disk, 3.4 GB to download (PyTorch with its CUDA libraries), 2 to 10 minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@# NNI writes one of its modules when it is first imported; two processes that import it at once would read half of it.
	$(BIN)/python -W ignore -c 'import nni.nas.nn.pytorch'
	touch $@

demo: $(READY)
	@echo "the whole job on synthetic lesions: 2 to 5 minutes on two cores; its files go to experiments/"
	$(BIN)/lesion-nas launch nni_config/quickstart.yml

# Tests of one file share what they made, so a worker gets whole files. Some wait for NNI more than they compute: one
# worker more than there are cores, five at most.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 5)))
test: $(READY)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

# The tests of what is read, written, measured and asked: seconds each, and the ones in which a Python can matter. .ci/run
# runs all tests with the oldest Python, and these with the newest, beside the demo.
quick: $(READY)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(QUICK) $(SLOW:%=--deselect %)

check: lint quick

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	touch $@

# A test says when the generated reference is out of date: python -m docs.generate renews it.
docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

wheel: $(READY)
	PYTHON="$(abspath $(BIN)/python)" .ci/wheel

bench: $(READY) $(NNI_READY)
	for one in $(BENCHMARKS); do $(BIN)/python -W ignore -m benchmarks.speed.$$one || exit 1; done
	$(BIN)/python -W ignore -m benchmarks.speed.search --nni $(NNI_VENV)/bin/python
	$(BIN)/python -m benchmarks.speed.table

bench-job: $(READY)
	$(BIN)/python -m benchmarks.speed.whole_job "$(DATA)" --out "runs/bench-job-$$(date +%Y%m%d-%H%M%S)"

# What NNI's own ENAS needs cannot be installed beside our packages.
$(NNI_READY): benchmarks/speed/requirements-nni.txt
	test -x $(NNI_VENV)/bin/python || $(PYTHON) -m venv $(NNI_VENV)
	$(NNI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Each script makes its own environment, and fails if a package behaves differently now.
findings:
	@changed=; for one in findings/*.sh; do echo "== $$one"; PYTHON="$(PYTHON)" bash $$one || changed="$$changed $$one"; done; \
	test -z "$$changed" || { echo "changed, or did not run:$$changed" >&2; exit 1; }

clean:
	rm -rf $(VENV) $(NNI_VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
