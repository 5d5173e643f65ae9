# `make help` lists what there is. Everything runs in .venv, made from the committed lock.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

# Each stage is a process of its own, which would compile all packages again where the environment forbids bytecode.
unexport PYTHONDONTWRITEBYTECODE

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
STORE ?=
SMOKE ?=
TO ?=
FROM ?=
SECRETS ?=
KIND ?=
FORCE ?=
WORKERS ?=
KINDS ?=
CELLS ?=
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

.PHONY: structure
structure: .venv/.dev ## the rooms of the code and the imports between them, lines of code   [OF=folder of another commit]
	@exec $(BIN)/python -m benchmarks.structure $(OF)

.PHONY: bench
bench: .venv/.run ## speed beside reference and peers   [PEERS=1] [STEPS=20] [MODEL=folder] [CORPUS=grammar] [ONLY=training]
	@exec $(BIN)/python -m benchmarks $(if $(PEERS),--peers) $(if $(STEPS),--steps $(STEPS)) $(if $(MODEL),--model $(MODEL)) $(if $(CORPUS),--corpus $(CORPUS)) $(if $(ONLY),--only $(ONLY))

.PHONY: bench-serving
bench-serving: .venv/.run ## `seq2seq serve` beside `mlflow models serve`   [MODEL=models:/NAME@champion] [STEPS=3]
	@exec $(BIN)/python -m benchmarks.serving $(if $(MODEL),--model $(MODEL)) $(if $(STEPS),--rounds $(STEPS))

.PHONY: bench-endurance
bench-endurance: .venv/.run ## `seq2seq serve` under load with a promotion and a rollback   [MODEL=models:/NAME@champion] [SECONDS=300]
	@exec $(BIN)/python -m benchmarks.endurance $(if $(MODEL),--model $(MODEL)) $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: corpus-large
corpus-large: .venv/.run ## a corpus to measure speed and memory with   [N=2000000] [OUT=.cache/large/corpus.parquet]
	@exec $(BIN)/python -m benchmarks.corpus_large $(OUT) --pairs $(N)

.PHONY: deploy
deploy: .venv/.run ## put infra/prefect.yaml on the Prefect server of PREFECT_API_URL
	@exec $(BIN)/seq2seq deploy

.PHONY: worker
worker: .venv/.run ## run what that server schedules, on this machine, until Ctrl-C
	@exec $(BIN)/seq2seq worker

.venv/.services: pyproject.toml constraints.txt | $(BIN)/uv
	@$(call INSTALL,[services])
	touch .venv/.run $@

.PHONY: services
services: .venv/.services ## the team's servers on this host, in the background   [STORE=rclone] [WORKERS=2]
	@exec $(BIN)/python -m infra.services start $(if $(STORE),--store $(STORE)) $(if $(WORKERS),--workers $(WORKERS))

.PHONY: services-status
services-status: .venv/.services ## the running ones, with address and memory
	@exec $(BIN)/python -m infra.services status

.PHONY: services-stop
services-stop: .venv/.services ## stop them; their data stay
	@exec $(BIN)/python -m infra.services stop

.PHONY: services-clean
services-clean: .venv/.services ## stop them and remove their data, logs and passwords
	@exec $(BIN)/python -m infra.services stop --delete-data

.PHONY: services-upgrade
services-upgrade: .venv/.services ## bring MLflow's tables to the installed version (make a backup first)
	@exec $(BIN)/python -m infra.services upgrade

.PHONY: backup
backup: .venv/.run ## the servers' databases and objects, or this folder's, into TO=FOLDER   [SECRETS=1] [KIND=files]
	@exec $(BIN)/python -m infra.backup make $(if $(SECRETS),--with-secrets) $(if $(KIND),--kind $(KIND)) '$(or $(TO),$(error name a new folder: make backup TO=FOLDER))'

.PHONY: restore
restore: .venv/.run ## a backup from FROM=FOLDER into an empty set or folder   [FORCE=1: not empty]
	@exec $(BIN)/python -m infra.backup restore $(if $(FORCE),--force) '$(or $(FROM),$(error name the backup: make restore FROM=FOLDER))'

.PHONY: services-secrets
services-secrets: .venv/.services ## generate the passwords of infra/compose.yaml, in infra/secrets
	@exec $(BIN)/python -m infra.services secrets

.PHONY: test
test: .venv/.dev ## the fast tests (a minute and a half, no network)
	@exec $(BIN)/python -m pytest $(IN_PARALLEL)

.PHONY: test-slow
test-slow: .venv/.dev ## the slow ring (half an hour): it learns, real dvc repro, real flows, a real schedule
	@exec $(BIN)/python -m pytest $(IN_PARALLEL) -m "slow and not nightly"

.PHONY: test-nightly
test-nightly: .venv/.dev ## the slow tests of more than a minute that no change waits for
	@exec $(BIN)/python -m pytest $(IN_PARALLEL) -m nightly

.venv/.ray: .venv/.dev
	@$(call INSTALL,[ray])
	touch $@

.PHONY: test-ray
test-ray: .venv/.ray ## clean as tasks of Ray, on three nodes of which one is killed
	@exec $(BIN)/python -m pytest -m slow tests/slow/test_ray.py

.venv/.spark: .venv/.dev
	@$(call INSTALL,[spark])
	touch $@

.PHONY: test-spark
test-spark: .venv/.spark ## a version as a function of Spark, on a local cluster (needs Java 17 or later)
	@exec $(BIN)/python -m pytest -m slow -rs tests/slow/test_spark.py

.PHONY: test-services
test-services: .venv/.dev .venv/.services ## the services ring: the team's servers, a run of a worker, results through the store   [SMOKE=1]
	@exec $(BIN)/python -m pytest -m services tests/services $(if $(SMOKE),-k smoke)

.PHONY: crash-matrix
crash-matrix: .venv/.dev ## break a small run at each stage and heal it; docs/crash-matrix.md   [CELLS=ci]
	@exec $(BIN)/python -m infra.crash_matrix $(if $(CELLS),"$(CELLS)")

.PHONY: test-newest
test-newest: $(BIN)/uv ## the fast tests with the newest versions that pyproject.toml allows, in .cache/newest
	@echo "setting up .cache/newest"
	$(UV) venv --quiet --clear --python $(BIN)/python .cache/newest
	$(call INSTALL_IN,.cache/newest/bin/python,,[dev])
	export PATH="$$PWD/.cache/newest/bin:$$PATH"
	exec .cache/newest/bin/python -m pytest $(IN_PARALLEL)

.PHONY: lint
lint: .venv/.dev ## ruff, mypy, and the contracts of imports
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
	  --extra ray --extra opusfilter --extra mtdata --extra services --extra documents --extra serve --extra onnx --extra spark \
	  --no-annotate --custom-compile-command "make lock" pyproject.toml -o constraints.txt
	UV_FIND_LINKS= $(UV) pip compile --quiet --universal --python-version 3.11 --extra services --generate-hashes -c constraints.txt \
	  --no-annotate --custom-compile-command "make lock" pyproject.toml -o infra/requirements.txt

# Tools of a throw-away environment, so that no install brings them.
.PHONY: audit
audit: .venv/.run ## known faults of the packages in constraints.txt (needs PyPI; names packages without an answer)
	@mkdir -p .cache && rm -f .cache/audit.json
	$(UV) tool run --quiet --from 'pip-audit>=2.10,<3' pip-audit --requirement constraints.txt --no-deps --disable-pip \
	  --progress-spinner off --format json --output .cache/audit.json >.cache/audit.log 2>&1 || true
	exec $(BIN)/python -m infra.supply audit .cache/audit.json

.PHONY: sbom
sbom: .venv/.run ## the installed packages with hashes and licences in CycloneDX, validated   [OUT=.cache/sbom.json]
	@mkdir -p .cache
	$(UV) tool run --quiet --from 'cyclonedx-bom>=7.2,<8' cyclonedx-py environment --validate --pyproject pyproject.toml \
	  --output-reproducible --output-format JSON --output-file '$(if $(filter file,$(origin OUT)),.cache/sbom.json,$(OUT))' $(BIN)/python

.PHONY: licences
licences: .venv/.run ## the licences of the installed packages of constraints.txt
	@exec $(BIN)/python -m infra.supply licences

.PHONY: hashed
hashed: $(BIN)/uv ## the packages of runs and servers, each file compared with its sha256 in infra/requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r infra/requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch .venv/.run .venv/.services

.PHONY: clean
clean: ## remove what runs have written (your own files, registry, DVC's cache, environment, clones of schedules stay)
	@python="$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))"
	if ! "$$python" -c 'import dvc, psutil, ruamel.yaml' 2>/dev/null; then
	  echo "error: $$python lacks the project's libraries: make .venv/.run sets up .venv, or name another: make clean PYTHON=..." >&2
	  exit 2
	fi
	exec "$$python" -m flows cleanup
