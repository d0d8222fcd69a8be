# Each target makes .venv when it is missing. PIP_ARGS is passed on to pip, for example the CPU build of PyTorch:
#   make demo PIP_ARGS="--extra-index-url <the address on PyTorch's own page>"
PYTHON ?= python3
VENV := .venv
PROGRAMS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(PROGRAMS)
# litgpt wants older libraries than transformers, TRL is no part of groundup: environments of their own, for the benchmarks only.
LITGPT := .venv-litgpt
TRL := .venv-trl
PIP_ARGS ?=
# Of the developers' environment; dev,docs makes it the site's, too, with one call of pip.
EXTRAS ?= dev
# What makes and looks at the files of a release, each version and hash pinned (packaging/*.txt).
RELEASE := .venv-release
# Other programs that use `groundup serve`, for their tests only: Python packages, and below node/ those of npm.
GUESTS := .venv-guests
GUEST_FILES := tests/serve/clients/guests
CONTAINER ?= $(if $(shell command -v podman),podman,docker)
# Tests in a process a core and one more (tests/conftest.py), each of one thread and up to two gigabytes.
PARALLEL := -n logical --maxprocesses 8 --dist

.PHONY: demo test fuzz test-slow test-windows test-network test-guests test-langchain check notebooks docs booklet peers bench claim clean
.PHONY: wheel try-wheel release-files sbom check-packaging container

demo: $(VENV)/demo.done
	@$(BIN)/groundup build quickstart
	@echo
	@echo "Open runs/quickstart/report.html in a browser. These lines can be pasted; the first makes 'groundup' a command in this terminal:"
	@echo
	@echo "    source $(BIN)/activate"
	@echo "    groundup chat runs/quickstart"
	@echo "    groundup lab runs/quickstart --text 'To be, or not to be'"
	@echo "    groundup serve runs/quickstart"

test: $(VENV)/dev.done
	@$(BIN)/python -m pytest $(PARALLEL) worksteal

# What is marked slow; property tests on other examples than those of `make test`; then, alone, what measures time.
test-slow: $(VENV)/dev.done
	@$(BIN)/python -m pytest -m slow $(PARALLEL) loadfile
	@$(BIN)/python -m pytest -m "hypothesis and not network" --hypothesis-profile=at-large $(PARALLEL) worksteal
	@$(BIN)/python -m pytest -m timing

# On Linux, the suite with groundup on Windows as far as that can be played (tests/on_windows): make test-windows TESTS=tests/data
test-windows: $(VENV)/dev.done
	@PYTHONPATH=$(CURDIR)/tests/on_windows:$(CURDIR) $(BIN)/python -m pytest -p linux_only $(PARALLEL) worksteal $(or $(TESTS),tests)

# What fetches packages and models; .ci/run has these and shares what is fetched.
test-network: $(VENV)/dev.done
	@$(BIN)/python -m pytest -m "network and not slow" $(PARALLEL) loadfile

# Other programs against a real server; wants node 20 or newer.
test-guests: $(VENV)/dev.done $(GUESTS)/guests.done
	@$(BIN)/python -m pytest -m guests

# LangChain's own suites for our classes, in a process and with settings of their own.
test-langchain: $(VENV)/dev.done
	@$(BIN)/python -m pytest -c tests/langchain_standard/pytest.ini tests/langchain_standard

# Damaged files for every reader of foreign bytes, each for some minutes: make fuzz SECONDS=20 READER=gguf; findings in build/fuzz.
fuzz: $(VENV)/fuzz.done
	@$(BIN)/python tests/fuzz/run.py $(READER) --seconds $(or $(SECONDS),300)

check: $(VENV)/dev.done
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_architecture.py

notebooks: $(VENV)/dev.done
	@$(BIN)/python notebooks/run.py --check

# The site, in build/site/html; with DOCS=look also a picture of every page, by Chromium, in build/site/pictures.
docs: $(VENV)/docs.done
	@$(BIN)/python docs/site/verbs.py
	@$(BIN)/python docs/site/build.py
	@$(if $(filter look,$(DOCS)),$(BIN)/python docs/site/look.py)

# The path through the concept pages as one PDF, build/site/html/concepts/booklet.pdf, and in three other languages, by Chromium.
booklet: docs
	@$(BIN)/python docs/site/booklet.py

# llama.cpp from its source for this machine, in the cache; `make bench` compares with it where it is there.
peers: $(VENV)/dev.done
	@$(BIN)/python benchmarks/build_peers.py

bench: $(VENV)/dev.done $(LITGPT)/bench.done
	@$(BIN)/python benchmarks/spine.py
	@$(BIN)/python benchmarks/model.py
	@$(BIN)/python benchmarks/pretrain.py
	@$(BIN)/python benchmarks/serve.py
	@$(BIN)/python benchmarks/decode.py

# One number of README or docs/benchmarks.md measured again: make claim ID=near-duplicates; without ID the list of claims.
claim: $(VENV)/dev.done
	@$(BIN)/python benchmarks/claims.py $(if $(ID),$(ID),--list)

# Wheel and source archive in dist/: the same bytes from the same files, in whatever folder, whenever.
wheel: $(RELEASE)/build.done
	@rm -rf dist
	@$(RELEASE)/$(PROGRAMS)/python -m hatchling build -d dist

# The wheel in an empty environment and an empty folder: the main verbs, and what a missing extra says.
try-wheel: wheel
	@$(RELEASE)/$(PROGRAMS)/python packaging/try_wheel.py dist/*.whl

# Of a tag, TAG=v0.1.0: it is the version's, the changelog has its date, and two builds are equal.
release-files: wheel
	@$(RELEASE)/$(PROGRAMS)/python packaging/release.py $(TAG)

# What the wheel brings with it, in build/sbom: CycloneDX, and a list of licences.
sbom: wheel $(RELEASE)/sbom.done
	@$(RELEASE)/$(PROGRAMS)/python packaging/sbom.py dist/*.whl build/sbom

# Workflows and files of packaging/ by other people's rules.
check-packaging: $(RELEASE)/check.done
	@$(RELEASE)/$(PROGRAMS)/python packaging/check.py

# The image, and one question to it: wants podman or docker.
container: wheel
	@$(CONTAINER) build $(if $(findstring podman,$(CONTAINER)),--format docker) -f packaging/Containerfile -t groundup --build-arg TORCH_INDEX="$(PIP_EXTRA_INDEX_URL)" .
	@$(CONTAINER) run --rm --read-only --tmpfs /tmp groundup doctor

clean:
	rm -rf .venv $(LITGPT) $(TRL) $(GUESTS) $(RELEASE) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "groundup needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name a newer one with make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: $(BIN)/python pyproject.toml
	@echo "Installing groundup and what the demo needs into $(VENV) (once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -e '.[demo]'
	@touch $@

$(VENV)/dev.done: $(BIN)/python pyproject.toml
	@echo "Installing groundup and the developers' tools into $(VENV) (once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -e '.[$(EXTRAS)]'
	@touch $@ $(VENV)/demo.done

# Without atheris (no wheel for this system or Python) the damages are drawn at random.
$(VENV)/fuzz.done: $(VENV)/dev.done
	@$(BIN)/python -m pip install -q --disable-pip-version-check --only-binary :all: $(PIP_ARGS) atheris || echo "without atheris"
	@touch $@

$(VENV)/docs.done: $(VENV)/dev.done
	@echo "Installing what the site is made with into $(VENV) (once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -e '.[docs]'
	@touch $@

$(RELEASE)/%.done: packaging/%.txt
	@$(PYTHON) -m venv $(RELEASE)
	@$(RELEASE)/$(PROGRAMS)/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(LITGPT)/bench.done:
	@echo "Installing litgpt into $(LITGPT), to compare with (once) ..."
	@$(PYTHON) -m venv $(LITGPT)
	@$(LITGPT)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) litgpt==0.5.13
	@touch $@

$(GUESTS)/guests.done: $(wildcard $(GUEST_FILES)/*.txt) $(GUEST_FILES)/package.json
	@echo "Installing the guests' packages into $(GUESTS), to test with (once) ..."
	@$(PYTHON) -m venv $(GUESTS)/uv && $(GUESTS)/uv/bin/python -m pip install -q --disable-pip-version-check uv
	@for file in $(GUEST_FILES)/*.txt; do $(call guest,$(GUESTS)/$$(basename $$file .txt),$$file) || exit 1; done
	@mkdir -p $(GUESTS)/node && cp $(GUEST_FILES)/package.json $(GUESTS)/node/
	@npm install --prefix $(GUESTS)/node --no-audit --no-fund --silent
	@touch $@

# A guest that is too large for all to install: make .venv-guests/open_webui, then make test-guests.
$(GUESTS)/open_webui: $(GUESTS)/guests.done
	@$(call guest,$@,$(GUEST_FILES)/large/open_webui.txt)

# pip takes minutes to find versions of some guests' packages that go together, uv seconds.
guest = $(PYTHON) -m venv $(1) && $(GUESTS)/uv/bin/uv pip install -q --python $(1)/bin/python -r $(2)

$(TRL)/bench.done:
	@echo "Installing TRL and PEFT into $(TRL), to compare with (once) ..."
	@$(PYTHON) -m venv $(TRL)
	@$(TRL)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) trl==1.16.0 peft==0.21.2 transformers==5.24.0
	@touch $@
