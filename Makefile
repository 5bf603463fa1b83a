# Two commands: `make demo` tunes a model and shows it; `make test` checks everything. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The official clients, each set of them in an environment of its own: they pin what the server does not need.
CLIENTS := $(patsubst tests/%-requirements.txt,.cache/%/.installed,$(wildcard tests/clients*-requirements.txt))
NODE_MODULES := $(patsubst %,tests/conformance/clients/%/node_modules/.installed,javascript issuer) \
	tests/browser/node_modules/.installed

# What makes kernels for CPUs that multiply bfloat16: as root it is installed, otherwise told. All works without.
COMPILER_FOR_KERNELS = if ! command -v g++ >/dev/null && grep -qs avx512_bf16 /proc/cpuinfo; then \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing g++, which makes training faster on this CPU"; \
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++) \
			>/dev/null 2>&1 || echo "It could not be installed; training will be slower"; \
	else echo "With g++ training is faster on this CPU; on Debian: apt-get install g++"; fi; fi

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types fuzz bench screenshots clean

help:
	@echo "make demo          tune a small model on this machine and compare its answers (KEEP=1 leaves the server up)"
	@echo "make test          everything: lint, types, import contracts, all tests"
	@echo "make fuzz          an hour of made-up requests (SECONDS=600: ten minutes)"
	@echo "make bench         speed and memory beside those of other tools, in one table (half an hour; QUICK=1: minutes)"
	@echo "make screenshots   take the pictures of the console in docs/images anew"
	@echo "make setup         .venv and the embedded base model; the other targets call it"
	@echo "make clean         remove what setup made in this folder"

# Quick when nothing changed: both steps look before they work.
setup: $(STAMP)
	@$(BIN)/sintonia setup

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Sintonia needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "The venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing Sintonia into $(VENV) (about 1.5 GB, a few minutes the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch]'
	@$(COMPILER_FOR_KERNELS)
	@touch $@

$(VENV)/.installed-dev: $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,postgresql,grpc,oidc,gcs,s3,dev]'
	@touch $@

$(CLIENTS): .cache/%/.installed: tests/%-requirements.txt
	@echo "Installing official clients for the conformance tests: $*"
	@$(PYTHON) -m venv .cache/$*
	@.cache/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Where there is no npm, the tests of its client say so and are skipped.
$(NODE_MODULES): %/node_modules/.installed: %/package-lock.json
	@command -v npm >/dev/null || exit 0; echo "Installing for the tests, with npm: $(notdir $(<D))"; \
		cd $(<D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && touch node_modules/$(@F)

demo: setup
	@$(BIN)/sintonia demo $(if $(KEEP),--keep)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy

test: setup $(VENV)/.installed-dev $(CLIENTS) $(NODE_MODULES) lint types
	@sh tests/system-packages.sh
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

fuzz: setup $(VENV)/.installed-dev .cache/clients-schemathesis/.installed
	@FUZZ_SECONDS=$(or $(SECONDS),3600) $(BIN)/pytest tests/conformance/test_schemathesis.py

# The peers come into .cache/bench, an environment of their own.
bench: setup
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

# The pictures of the console in README and docs.
screenshots: setup $(VENV)/.installed-dev
	$(BIN)/python tests/browser/screenshots.py docs/images

clean:
	rm -rf $(VENV) .cache $(dir $(NODE_MODULES))
