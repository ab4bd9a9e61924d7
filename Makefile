# Every target works on a bare checkout: the first one makes the virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: tour test check lint types layers tutorials notebooks docs wheel soundness parity reliability table bench \
  experiments scale suites clean

tour: $(STAMP)  ## the main job: from ten lines to a trained model
	$(BIN)/normdsl tour

# Bytecode is kept, whatever the shell says: dozens of tests start a process of their own.
test: $(STAMP)  ## the whole test suite, one process per core
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

check: lint types test tutorials docs wheel  ## everything that must be green; layers are among the tests

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/pytest tests/test_layers.py

tutorials: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --nbmake --nbmake-timeout=120 tutorials

notebooks: $(STAMP)  ## JupyterLab with the tutorials, and all that they import
	$(BIN)/python -c "import jupyterlab" 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[notebook,tour]'
	$(BIN)/jupyter lab tutorials

docs: $(STAMP)  ## the site, build/docs/html; fails on a warning or an undocumented public name
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -n -q -c docs/website -d build/docs/doctrees . build/docs/html

wheel: $(STAMP)  ## build a wheel, install it elsewhere, import it from there
	$(BIN)/python tests/wheel.py

soundness: $(STAMP)  ## 2,000 random programs: every verdict against runs (hours; resumable)
	$(BIN)/python tests/soundness.py --programs 2000 --seed 0 --jobs 2 --out docs/soundness.md

parity: $(STAMP)  ## the table of docs/parity.md: rules, literal loops, public codes
	$(BIN)/python tests/parity.py --out docs/parity.md

reliability: $(STAMP)  ## the tables of docs/reliability.md: faults, and what comes of them
	$(BIN)/python tests/reliability.py --out docs/reliability.md

table: $(STAMP)  ## docs/table.*: the methods of the paper; docs/rules.md: all rules, by family
	$(BIN)/python tests/table.py
	$(BIN)/python tests/rules_doc.py

bench: $(STAMP)  ## docs/speed.*: steps beside other packages, on this CPU; leave the machine alone
	$(BIN)/normdsl bench --json docs/speed.json --figure docs/speed.png
	$(BIN)/normdsl bench --page docs/speed.md --read docs/speed.json \
	  $(patsubst %,--read %,$(wildcard docs/speed-cuda.json))

experiments: $(STAMP)  ## docs/experiments.*: every method on small problems (hours; resumable)
	$(BIN)/normdsl reproduce scale charlm lora --folder docs/experiments --page docs/experiments.md

scale: $(STAMP)  ## docs/scale.md: steps among thousands of ranks, on paper; bytes and host time
	PYTHONPATH=tests $(BIN)/python -m machines.page --measure

suites: $(STAMP)  ## suites of others against our optimizers, from their sdists; docs/suites.md
	PYTHONPATH=tests $(BIN)/python -m suites.run

clean:
	rm -rf $(VENV) build dist docs/api docs/gallery *.egg-info tour.png

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
