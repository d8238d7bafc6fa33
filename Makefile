# The only commands a newcomer needs: make demo, make test. PYTHON makes the virtual environment, VENV is where it lies.
PYTHON ?= python3.11
VENV ?= .venv
RUN_DIR ?= runs/demo
BIN := $(VENV)/bin

.PHONY: demo test check format bench setup

demo: setup
	$(BIN)/python jobs/full_pipeline.py shapes --run-dir $(RUN_DIR)
	@echo "Look at $(RUN_DIR)/leaderboard.html and $(RUN_DIR)/leaderboard/panels.png;"
	@echo "runs: $(BIN)/mlflow ui --backend-store-uri sqlite:///$(RUN_DIR)/mlflow.db"

test: setup
	$(BIN)/python -m pytest -m "not gpu" --durations=15

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	for name in $$($(BIN)/python -m benchmarks --list); do $(BIN)/python -m benchmarks $$name || exit 1; done

setup: $(VENV)/.installed

# torch first: where an index offers a CPU build of the pinned version, it is taken, and nothing replaces it.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@
