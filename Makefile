# Every target makes what it needs: the virtual environment in .venv, and in it the extras of setup.cfg.
#   make train   train a network on CIFAR-10           make train ARGS="--model resnet20 --epochs 20"
#   make test    run the tests                         make test ARGS="-k pool"
#   make test-all   run the long ones too
#   make bench   time the kernels                      make bench ARGS="-k conv"
#   make bench-layers   layers, losses and optimisers one by one against PyTorch   make bench-layers ARGS="Norm Pool"
#   make lint    check the style                       make clean   remove everything these targets made
# PEERS=1 also installs PyTorch and ONNX Runtime (judges of the tests, rivals of the benchmarks), where pip finds them.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# Most of the time goes to compiling, which is the work of one core: two processes share the files of tests. For a
# debugger: make test WORKERS=
WORKERS ?= -n 2 --dist loadfile

ifeq ($(PEERS),1)
peers := .venv/peers.installed-if-possible
endif

.PHONY: train test test-all bench bench-layers lint clean
.DELETE_ON_ERROR:

train: .venv/plot.installed
	$(BIN)/python examples/train_cifar10.py $(ARGS)

test: .venv/test.installed $(peers)
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-all: .venv/test.installed $(peers)
	$(BIN)/python -m pytest $(WORKERS) -m "slow or not slow" $(ARGS)

bench: .venv/bench.installed $(peers)
	mkdir -p bench/results
	$(BIN)/python -m pytest bench -rs -W default --benchmark-quiet --benchmark-json=bench/results/rounds.json $(ARGS)
	$(BIN)/python bench/report.py bench/results/rounds.json

bench-layers: .venv/bench.installed .venv/peers.installed-if-possible
	$(BIN)/python bench/layers.py $(ARGS)

lint: .venv/lint.installed
	$(BIN)/ruff check .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv .venv

# One stamp for each extra; it is out of date when setup.cfg has changed.
.venv/%.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

# The peers are a help, not a need: where they cannot be installed, say so and go on without them.
.venv/peers.installed-if-possible: setup.cfg | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[peers]" \
	    || echo "PyTorch and ONNX Runtime could not be installed: their comparisons are skipped"
	touch $@
