# make demo      installs into .venv, fetches a real slide, runs the main job on it
# make view      looks at it, in the browser
# make test      installs into .venv, runs every check
# make docs      builds the documentation into build/site
# make pictures  makes the pictures of README and docs anew
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test files at the same time. Each process keeps to one thread, so that they do not take each other's cores.
AT_ONCE ?= 2

.PHONY: install demo view test clients lint docs pictures clean

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/histoloom sample slides
	$(BIN)/histoloom run slides/CMU-1-Small-Region.svs --out results
	@echo
	@echo "The picture:  $(CURDIR)/results/CMU-1-Small-Region/preview.png"
	@echo "The report:   $(CURDIR)/results/CMU-1-Small-Region/report.html"
	@echo "The store:    $(CURDIR)/results/CMU-1-Small-Region/CMU-1-Small-Region.ome.zarr"
	@echo "In a browser: make view"

view: $(VENV)/.installed
	$(BIN)/histoloom view results

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow and not clients" --numprocesses $(AT_ONCE) --dist loadfile

# Opens results in napari, Neuroglancer, Viv, QuBaLab, ome-zarr-py and SpatialData; wants Chromium, node and npm.
clients: $(VENV)/.installed-clients
	$(BIN)/pytest -m clients tests/clients

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file docs/site/mkdocs.yml
	@echo "The site:     $(CURDIR)/build/site/index.html"

# Every script may be called alone; those that show a run find it in results.
pictures: $(VENV)/.installed-test demo
	set -e; for script in docs/make_*.py; do echo "$$script"; PYTHONPATH=$(CURDIR) $(BIN)/python "$$script"; done

# torch comes first and alone: the resolver then keeps that build.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

$(VENV)/.installed-clients: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[clients]'
	touch $@

clean:
	rm -rf $(VENV) results slides build *.egg-info
