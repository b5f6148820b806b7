# Everything is installed into .venv, by itself, when it is missing or pyproject.toml has changed.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.stamp-run
INSTALLED_DEV := $(VENV)/.stamp-dev
INSTALLED_DOCS := $(VENV)/.stamp-docs

# The Python that .venv is made from; not given: the first one found of 3.11 and newer.
PYTHON ?=
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3.14 python3)

# What `make bench` leaves out: it prints no figures, or wants to be told of what.
NOT_FIGURES := $(addprefix benchmarks/,common.py doctor.py minimal_pairs.py own_text.py unchanged.py)
BENCHMARKS := $(filter-out $(NOT_FIGURES),$(sort $(wildcard benchmarks/*.py)))

.PHONY: help demo test test-slow lint bench docs clean

help:
	@echo "make demo       the whole life of a BERT in about two minutes, offline"
	@echo "make test       the tests (minutes)"
	@echo "make test-slow  the tests on real data too"
	@echo "make lint       ruff and mypy"
	@echo "make bench      the benchmarks: one JSON line a figure"
	@echo "make docs       the documentation as a site, in site/; a dead link is an error"
	@echo "make clean      remove .venv and caches"

demo: $(INSTALLED)
	@$(BIN)/bertkit demo --overwrite

# One process a core, each with one thread; a file stays together, for its tests share what they train.
test: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest -q -m "not slow" -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest -q

lint: $(INSTALLED_DEV)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Run $(BIN)/ruff format . to mend these." >&2; exit 1; }
	@$(BIN)/mypy

bench: $(INSTALLED_DEV)
	@for benchmark in $(BENCHMARKS); do $(BIN)/python $$benchmark || exit; done

docs: $(INSTALLED_DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --clean
	@echo "the site: site/index.html"

clean:
	@rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .hypothesis build

# A stamp is touched only after all went well, so an interrupted make begins that step again.
# What pip prints is of interest only when it fails.
define install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)' \
		>$(VENV)/install.log 2>&1 </dev/null || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $@
endef

$(INSTALLED): pyproject.toml
	@echo "bertkit: installing what it needs into $(VENV) (the first time takes a minute or more)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		for python in $(PYTHONS); do \
			if "$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				exec "$$python" -m venv --clear $(VENV); \
			fi; \
		done; \
		echo "bertkit needs Python 3.11 or newer with venv; name one: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	}
	$(call install,.)

$(INSTALLED_DEV): $(INSTALLED)
	@echo "bertkit: installing the tools of its tests into $(VENV)"
	$(call install,.[dev])

$(INSTALLED_DOCS): $(INSTALLED)
	@echo "bertkit: installing what builds the documentation into $(VENV)"
	$(call install,.[docs])
