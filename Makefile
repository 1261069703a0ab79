# Needs Python 3.11 or newer and make; everything else goes into .venv, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
PEERS := .venv-bench/bin/python
PEERS_READY := .venv-bench/.installed
SITE_READY := .venv/.installed-docs
DATA ?= $(CYTONYM_DATA)

.PHONY: demo test lint format docs bench bench-env clean

demo: $(READY)  ## name 350 real cells: about a minute
	$(BIN)/cytonym demo

test: $(READY)  ## everything but the tests marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Warnings are errors. The tutorials run: about two minutes, on simulated cells without CYTONYM_DATA.
docs: $(SITE_READY)  ## the site, into site/html
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -c docs -d site/doctrees . site/html
	@echo "open site/html/index.html"

bench: $(READY) $(PEERS_READY)  ## the accuracy table and the experiments of each method; needs DATA=folder
	@test -n "$(DATA)" || { echo "make bench needs DATA=folder (or CYTONYM_DATA)" >&2; exit 2; }
	mkdir -p bench
	CYTONYM_BENCH_PYTHON=$(PEERS) $(BIN)/python benchmarks/accuracy.py --data "$(DATA)" \
		--out bench/accuracy.jsonl --methods all --tasks all --seeds 0-4
	$(BIN)/python benchmarks/table.py bench/accuracy.jsonl --out bench/benchmarks.md
	for script in ablation curves selection; do \
		$(BIN)/python benchmarks/sctrans_$$script.py --data "$(DATA)" --out bench || exit; \
	done
	for script in folds rare robust; do \
		$(BIN)/python benchmarks/scmoanno_$$script.py --data "$(DATA)" --out bench || exit; \
	done
	for script in clusters generation; do \
		$(BIN)/python benchmarks/dcca_$$script.py --data "$(DATA)" --out bench --seeds 0-4 || exit; \
	done
	$(BIN)/python benchmarks/dcca_lsi.py --data "$(DATA)" --out bench
	$(BIN)/python benchmarks/dcca_memory.py --out bench
	$(BIN)/python benchmarks/regulation_simulated.py --seeds 0-4 > bench/regulation_simulated.md
	$(BIN)/python benchmarks/regulation_snare.py --data "$(DATA)" --seeds 0-2 > bench/regulation_snare.md
	for world in platform few one strong depth; do \
		$(BIN)/python benchmarks/seqalign_simulated.py --out bench --world $$world || exit; \
	done
	for ways in ablations curves; do \
		$(BIN)/python benchmarks/seqalign_simulated.py --out bench --seeds 0 --ways $$ways || exit; \
	done
	for cells in blood snare; do \
		$(BIN)/python benchmarks/seqalign_cells.py --data "$(DATA)" --out bench --cells-of $$cells || exit; \
	done
	$(BIN)/python benchmarks/seqalign_inductive.py --out bench
	$(BIN)/python benchmarks/seqalign_scale.py --out bench
	$(BIN)/python benchmarks/report_size.py --out bench
	$(BIN)/python benchmarks/speed.py --data "$(DATA)" --out bench

# torch comes first and alone, so that a CPU build that pip was pointed to is the one taken.
# pyright's own node comes as a package: nothing is downloaded when it first runs.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("cytonym needs Python 3.11 or newer, this is %d.%d; \
	name another: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev 'pyright[nodejs]' -e '.[demo,atac,dna,sc,onto,dist]'
	@touch $@

# The peers' packages pin others than ours do, so they have a place of their own.
bench-env: $(PEERS_READY)  ## the environment of the peers, in .venv-bench

$(PEERS_READY): constraints-bench.txt
	test -x $(PEERS) || $(PYTHON) -m venv .venv-bench
	$(PEERS) -m pip install --quiet -c constraints-bench.txt --upgrade pip
	$(PEERS) -m pip install --quiet -c constraints-bench.txt torch
	$(PEERS) -m pip install --quiet -c constraints-bench.txt \
		anndata celltypist mudata scanpy scikit-learn scvi-tools
	@touch $@

$(SITE_READY): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	@touch $@

clean:
	rm -rf .venv .venv-bench build dist demo site .pytest_cache .ruff_cache .hypothesis .coverage
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
