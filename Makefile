# make demo   installs into .venv, fetches a real slide, runs the main job on it
# make test   installs into .venv, runs every check
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test clients lint pictures clean

demo: $(VENV)/.installed
	$(BIN)/histoloom sample slides
	$(BIN)/histoloom run slides/CMU-1-Small-Region.svs --out results
	@echo
	@echo "The picture:  $(CURDIR)/results/CMU-1-Small-Region/preview.png"
	@echo "The report:   $(CURDIR)/results/CMU-1-Small-Region/report.html"
	@echo "The store:    $(CURDIR)/results/CMU-1-Small-Region/CMU-1-Small-Region.ome.zarr"

test: lint
	$(BIN)/pytest -m "not slow and not clients"

# Opens results in napari, Neuroglancer, Viv, QuBaLab, ome-zarr-py and SpatialData; wants Chromium, node and npm.
clients: $(VENV)/.installed-clients
	$(BIN)/pytest -m clients tests/clients

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

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
