# make demo   the whole job on synthetic lesions, under NNI      make test   the tests
# make bench  speed, against NNI's own ENAS too, in an environment of its own; half an hour
# make bench-job DATA=BUSI   how long the whole job takes on lesion images of yours; an hour
# make lint   ruff and mypy      make env   only the environment      make clean   removes what make made
# make findings   whether other packages still do what findings/ says; half an hour, several downloads

VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.installed
# The versions of Python that are tested. The first interpreter of these versions that can make environments is taken:
# from the path, else from pyenv's. `make env PYTHONS=3.13` wants that version, `make env PYTHON=/path/to/python3` that interpreter.
PYTHONS = 3.11 3.12 3.13
PYENV_ROOT ?= $(HOME)/.pyenv
PYTHON ?= $(firstword $(foreach p,$(PYTHONS:%=python%) python3 python \
	$(foreach v,$(PYTHONS),$(wildcard $(PYENV_ROOT)/versions/$v.*/bin/python)),$(shell $p -c \
	'import sys, venv, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv)' $(PYTHONS) 2>/dev/null && echo $p)))

NNI_VENV ?= .venv-nni
NNI_READY = $(NNI_VENV)/.installed
BENCHMARKS = weight_sharing machine_limit retraining growth cuda

.PHONY: env versions python demo test lint bench bench-job findings clean

env: $(READY)

# What .ci/run asks: the versions that are tested, and the interpreter that would make the environment (none: an empty line).
versions:
	@echo $(PYTHONS)
python:
	@echo $(PYTHON)

# Without a fitting interpreter uv fetches one, where it is installed.
$(BIN)/python:
	@test -n "$(PYTHON)" || command -v uv >/dev/null || { echo "lesion-nas needs Python $(firstword $(PYTHONS)) to" \
		"$(lastword $(PYTHONS)) with pip and venv: install one, or name it: make env PYTHON=/path/to/python3.13; or" \
		"install uv, with which make fetches one" >&2; exit 1; }
	$(if $(PYTHON),,uv python install --no-bin $(lastword $(PYTHONS)))
	$(or $(PYTHON),"$$(uv python find --managed-python $(lastword $(PYTHONS)))") -m venv $(VENV)

# Installed again only when the wanted packages change.
$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing in $(VENV): up to 7 GB on disk, 3.4 GB to download (PyTorch with its CUDA libraries), 2 to 10 minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@# NNI writes one of its modules when it is first imported; two processes at once would read half of it.
	$(BIN)/python -W ignore -c 'import nni.nas.nn.pytorch'
	touch $@

demo: $(READY)
	@echo "the whole job on synthetic lesions: 2 to 5 minutes on two cores; its files go to ~/lesion-nas"
	$(BIN)/lesion-nas launch nni_config/quickstart.yml

# A file's tests share what they made, so that files are dealt out, not tests.
test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

bench: $(READY) $(NNI_READY)
	for one in $(BENCHMARKS); do $(BIN)/python -W ignore -m benchmarks.$$one || exit 1; done
	$(BIN)/python -W ignore -m benchmarks.search --nni $(NNI_VENV)/bin/python
	$(BIN)/python -m benchmarks.table

bench-job: $(READY)
	$(BIN)/python -m benchmarks.whole_job "$(DATA)" --out "runs/bench-job-$$(date +%Y%m%d-%H%M%S)"

# What NNI's own ENAS needs cannot be installed beside ours.
$(NNI_READY): benchmarks/requirements-nni.txt
	test -x $(NNI_VENV)/bin/python || $(PYTHON) -m venv $(NNI_VENV)
	$(NNI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Each script makes an environment of its own, and fails where a package does something else now.
findings:
	@changed=; for one in findings/*.sh; do echo "== $$one"; PYTHON="$(PYTHON)" bash $$one || changed="$$changed $$one"; done; \
	test -z "$$changed" || { echo "changed, or did not run:$$changed" >&2; exit 1; }

clean:
	rm -rf $(VENV) $(NNI_VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
