# `make run` opens the chat, `make test` is the whole check. Both make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# As pip does for a wheel: an editable install would be compiled anew at each start where Python may not write.
COMPILE := $(BIN)/python -m compileall -q assistant engine training

.PHONY: run test bench train-tiny bundled-model screenshot snapshots clean

run: $(VENV)/.installed
	@$(BIN)/homespun

test: $(VENV)/.installed-test
	$(COMPILE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 25
	$(BIN)/python packaging/check_wheel.py

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.benchmarks

# Raw text → tokenizer → pretraining → fine-tuning → a model you can open: homespun --model runs/tiny/model/tiny
train-tiny: $(VENV)/.installed-test
	$(BIN)/python -m training all training/recipes/tiny.toml --data training/sample --run runs/tiny

# The model in the wheel, again from raw text. DATA is the folder its recipe's paths start in.
bundled-model: $(VENV)/.installed-test
	$(BIN)/python -m training all training/recipes/homespun-v0.toml --data $(DATA) --out engine/bundled

screenshot: $(VENV)/.installed
	$(BIN)/python -m assistant.screenshot packaging/screenshot.svg

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	$(COMPILE)
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[test]'
	$(COMPILE)
	@touch $@ $(VENV)/.installed

# The pictures of all screens that the tests compare with, drawn anew; look at the difference before committing it.
snapshots: $(VENV)/.installed-test
	SNAPSHOTS=new $(BIN)/python -m pytest tests/assistant/test_looks_*.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
