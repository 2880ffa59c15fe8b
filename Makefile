# make paint: set up and paint the example. make test: set up and check. make test-all: every check there is.

PYTHON ?= python3
VENV := .venv
VGG19 := model/imagenet-vgg-verydeep-19-8bit.mat
VGG16 := model/imagenet-vgg-verydeep-16.mat

.PHONY: paint test test-all check setup clean

paint: setup
	$(VENV)/bin/python scripts/paint.py --example --overwrite

test: check
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal

test-all: test $(VENV)/all-installed $(VGG16)
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal -m thorough

check: $(VENV)/test-installed setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

setup: $(VENV)/installed $(VGG19)

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --editable '.[example]'
	touch $@

$(VENV)/test-installed: setup.py $(VENV)/installed
	$(VENV)/bin/python -m pip install --editable '.[test]'
	touch $@

# gradio holds Pillow and others back, so it comes after make test, which tries the newest.
$(VENV)/all-installed: setup.py $(VENV)/test-installed
	$(VENV)/bin/python -m pip install --editable '.[test,vgg16,studio]'
	touch $@

$(VGG19): | $(VENV)/installed
	$(VENV)/bin/python scripts/get_weights.py vgg19

$(VGG16): | $(VENV)/all-installed
	$(VENV)/bin/python scripts/get_weights.py vgg16

clean:
	rm -rf $(VENV) build *.egg-info
