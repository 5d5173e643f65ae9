# `make help` lists what there is. Everything runs in .venv, made from the committed lock.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
RECIPE ?=
SET ?=
DRY ?=
PEERS ?=
STEPS ?=
MODEL ?=
CORPUS ?=
ONLY ?=
KINDS ?=
N ?= 2000000
OUT ?= .cache/large/corpus.parquet
IN_PARALLEL := -n logical --maxprocesses 8 --dist worksteal

# PIP_INDEX_URL, PIP_FIND_LINKS and pip's configured find-links hold for uv too, so that a
# machine whose pip finds a CPU build of torch uses it.
UV = $${PIP_INDEX_URL:+env UV_DEFAULT_INDEX=$$PIP_INDEX_URL} $(BIN)/uv
# $(call INSTALL_IN,interpreter,options,extras)
define INSTALL_IN
export UV_FIND_LINKS="$${UV_FIND_LINKS-$${PIP_FIND_LINKS-$$($(BIN)/pip config get global.find-links 2>/dev/null || true)}}"; \
$(UV) pip install --quiet --python $(1) $(2) -e .$(3)
endef
INSTALL = $(call INSTALL_IN,$(BIN)/python,-c constraints.txt,$(1))

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## ?(.*)/  make \1|\2/' | column -t -s '|'

$(BIN)/uv:
	@echo "setting up .venv (once)"
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, this is %d.%d: name another with PYTHON=..." % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] < (3, 14) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv

.venv/.run: pyproject.toml constraints.txt | $(BIN)/uv
	@$(call INSTALL,)
	touch $@

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/uv
	@$(call INSTALL,[dev])
	touch .venv/.run $@

.PHONY: run
run: .venv/.run ## the whole pipeline   [RECIPE=multi30k] [SET="section.key=value ..."] [DRY=1]
# SET is split at blanks. A value with one: seq2seq use RECIPE --set 'section.key=a value', then make run without both
	@exec $(BIN)/seq2seq run $(if $(RECIPE),--recipe $(RECIPE)) $(foreach s,$(SET),--set '$(subst ','\'',$(s))') $(if $(DRY),--dry)

.PHONY: compare
compare: .venv/.run ## the same training without attention, side by side   [KINDS="none dot general"]
	@exec $(BIN)/python -m benchmarks.ablation $(KINDS)

.PHONY: bench
bench: .venv/.run ## speed beside reference and peers   [PEERS=1] [STEPS=20] [MODEL=folder] [CORPUS=grammar] [ONLY=training]
	@exec $(BIN)/python -m benchmarks $(if $(PEERS),--peers) $(if $(STEPS),--steps $(STEPS)) $(if $(MODEL),--model $(MODEL)) $(if $(CORPUS),--corpus $(CORPUS)) $(if $(ONLY),--only $(ONLY))

.PHONY: corpus-large
corpus-large: .venv/.run ## a corpus to measure speed and memory with   [N=2000000] [OUT=.cache/large/corpus.parquet]
	@exec $(BIN)/python -m benchmarks.corpus_large $(OUT) --pairs $(N)

.PHONY: deploy
deploy: .venv/.run ## put infra/prefect.yaml on the Prefect server of PREFECT_API_URL
	@exec $(BIN)/seq2seq deploy

.PHONY: worker
worker: .venv/.run ## run what that server schedules, on this machine, until Ctrl-C
	@exec $(BIN)/seq2seq worker

.PHONY: test
test: .venv/.dev ## the fast tests (two minutes, no network)
	@exec $(BIN)/python -m pytest $(IN_PARALLEL)

.PHONY: test-slow
test-slow: .venv/.dev ## the slow ring (20 to 30 minutes): it learns, real dvc repro, real flows, a real schedule
	@exec $(BIN)/python -m pytest $(IN_PARALLEL) -m slow

.venv/.ray: .venv/.dev
	@$(call INSTALL,[ray])
	touch $@

.PHONY: test-ray
test-ray: .venv/.ray ## clean as tasks of Ray, on three nodes of which one is killed
	@exec $(BIN)/python -m pytest -m slow tests/slow/test_ray.py

.PHONY: test-newest
test-newest: $(BIN)/uv ## the fast tests with the newest versions that pyproject.toml allows, in .cache/newest
	@echo "setting up .cache/newest"
	$(UV) venv --quiet --clear --python $(BIN)/python .cache/newest
	$(call INSTALL_IN,.cache/newest/bin/python,,[dev])
	export PATH="$$PWD/.cache/newest/bin:$$PATH"
	exec .cache/newest/bin/python -m pytest $(IN_PARALLEL)

.PHONY: lint
lint: .venv/.dev ## ruff, mypy, and who may import whom
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

.venv/.docs: pyproject.toml constraints.txt | $(BIN)/uv
	@$(call INSTALL,[docs])
	touch $@

.PHONY: docs
docs: .venv/.docs ## the documents as a site, in site/
	@NO_MKDOCS_2_WARNING=1 exec $(BIN)/mkdocs build --quiet --strict

.PHONY: lock
lock: .venv/.dev ## renew constraints.txt from pyproject.toml (universal: CPU and CUDA, all Pythons)
	@UV_FIND_LINKS= $(UV) pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --extra docs \
	  --extra ray --extra opusfilter --extra mtdata --no-annotate --custom-compile-command "make lock" pyproject.toml -o constraints.txt

.PHONY: clean
clean: ## remove what runs have written (your own files, registry, DVC's cache, environment, clones of schedules stay)
	@python="$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))"
	if ! "$$python" -c 'import dvc, psutil, ruamel.yaml' 2>/dev/null; then
	  echo "error: $$python lacks the project's libraries: make .venv/.run sets up .venv, or name another: make clean PYTHON=..." >&2
	  exit 2
	fi
	exec "$$python" -m flows cleanup
