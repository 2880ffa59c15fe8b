# make paint: set up and paint the example. make test: set up and run every check.

PYTHON ?= python3
VENV := .venv
VGG16 := model/imagenet-vgg-verydeep-16.mat

.PHONY: paint test setup clean

paint: setup
	$(VENV)/bin/python scripts/paint.py --overwrite

test: $(VENV)/test-installed setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest

setup: $(VENV)/installed $(VGG16)

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --editable '.[vgg16,example]'
	touch $@

$(VENV)/test-installed: setup.py $(VENV)/installed
	$(VENV)/bin/python -m pip install --editable '.[test]'
	touch $@

$(VGG16): | $(VENV)/installed
	$(VENV)/bin/python scripts/get_weights.py vgg16

clean:
	rm -rf $(VENV) build *.egg-info
