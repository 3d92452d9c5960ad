# latchkey: `make help` lists what there is.
#
# Whatever a fresh machine lacks is installed under $(LATCHKEY_TOOLS), once; a stamp file says what is there. Needed from
# the system: a Rust toolchain, a C compiler, Python 3.13 with venv, make, and util-linux (setpriv).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

export LATCHKEY_TOOLS ?= $(CURDIR)/.tools
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

CARGO_DENY_VERSION := 0.20.2
CARGO_NEXTEST_VERSION := 0.9.143

# Ours are used only where the system has none.
export PATH := $(PATH):$(LATCHKEY_TOOLS)/cargo/bin
NEXTEST := $(if $(shell command -v cargo-nextest),,$(LATCHKEY_TOOLS)/cargo/bin/cargo-nextest)
DENY := $(if $(shell command -v cargo-deny),,$(LATCHKEY_TOOLS)/cargo/bin/cargo-deny)

AWS := $(LATCHKEY_TOOLS)/aws/.installed
HOME_ASSISTANT_VENV := $(LATCHKEY_TOOLS)/homeassistant/.installed
SAM_VENV := $(LATCHKEY_TOOLS)/sam/.installed
CLIENTS := $(LATCHKEY_TOOLS)/clients/.installed
SCHEMATHESIS := $(LATCHKEY_TOOLS)/schemathesis/.installed

export SAM_CLI_TELEMETRY := 0
SAM := $(LATCHKEY_TOOLS)/sam/bin/sam
# Linting wants a region, though it asks nothing of it.
VALIDATION_REGION := eu-central-1

RELEASE := $(TARGET_DIR)/release
PACKAGE := $(TARGET_DIR)/lambda/latchkey
# The newest glibc symbols that Amazon Linux 2023 has.
LAMBDA_GLIBC := 2.34

.PHONY: help
help: ## This list.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18
	@echo
	@echo '  make run HOME_ASSISTANT=real           on Home Assistant itself instead of the simulated home'
	@echo '  make run HA_URL=http://host:8123       on your own home; its token comes from standard input'
	@echo '  make run LIGHT=light.porch KEEP=1      with this light; leave everything up afterwards'
	@echo '  make bench ONLY=warm_command,memory    some parts of it'
	@echo '  make bench BENCH_FREEZE_SECONDS=90     with a freeze as long as that'

# What `run` may need on top depends on which home it is asked for.
.PHONY: run
run: $(AWS) $(SAM_VENV) $(if $(filter real,$(HOME_ASSISTANT)),$(HOME_ASSISTANT_VENV)) ## The main job once, on the local stack.
	@cargo build --package latchkey --bin bootstrap --package latchkey-local --bin latchkey-local </dev/null
	@$(TARGET_DIR)/debug/latchkey-local --bootstrap $(abspath $(TARGET_DIR)/debug/bootstrap)

# On the release build, since that is what runs in Lambda. The tests go last: their summary closes the output.
.PHONY: test
test: tools $(NEXTEST) ## All tests, with a real Home Assistant and the AWS emulator.
	cargo build --release --bin bootstrap
	cargo test --package latchkey --package testkit --doc
	LATCHKEY_BOOTSTRAP=$(abspath $(RELEASE)/bootstrap) cargo nextest run --workspace

.PHONY: check
check: $(SAM_VENV) $(DENY) ## Format, lints, docs, dependencies, template.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	cargo deny check bans licenses sources
	@if cargo deny fetch db >/dev/null 2>&1; then \
	    echo cargo deny check advisories; \
	    cargo deny check advisories; \
	else \
	    echo 'NOT CHECKED: known vulnerabilities (the advisory database cannot be fetched from here)'; \
	fi
	$(SAM) validate --lint --region $(VALIDATION_REGION) --template template.yaml

# The function is built on its own, as it is deployed: built together with the stack it would get the features that the
# stack asks of what both use.
.PHONY: bench
bench: $(AWS) ## Speed, memory and size, next to what cannot be beaten.
	cargo build --release --package latchkey --bin bootstrap
	cargo build --release --package latchkey-bench --bin latchkey-bench --bin bare
	@for name in bootstrap bare; do \
	    rm -f $(RELEASE)/$$name.zip; \
	    $(LATCHKEY_TOOLS)/aws/bin/python -m zipfile -c $(RELEASE)/$$name.zip $(RELEASE)/$$name; \
	done
	$(RELEASE)/latchkey-bench --bootstrap $(abspath $(RELEASE)/bootstrap) --bare $(abspath $(RELEASE)/bare) \
	    --report $(TARGET_DIR)/bench.json

.PHONY: build
build: $(SAM_VENV) ## The release zip, target/lambda/latchkey.zip.
	cargo build --release --bin bootstrap
	@needed=$$(objdump -T $(RELEASE)/bootstrap | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -n 1); \
	if [ "$$(printf '%s\n' "$$needed" $(LAMBDA_GLIBC) | sort -V | tail -n 1)" != $(LAMBDA_GLIBC) ]; then \
	    echo "This bootstrap needs glibc $$needed, and Lambda has $(LAMBDA_GLIBC): build it on an older system." >&2; \
	    exit 1; \
	fi
	mkdir -p $(PACKAGE)
	cp $(RELEASE)/bootstrap $(PACKAGE)/bootstrap
	rm -f $(PACKAGE).zip
	cd $(PACKAGE) && $(LATCHKEY_TOOLS)/sam/bin/python -m zipfile -c $(abspath $(PACKAGE).zip) bootstrap
	@ls -l $(PACKAGE).zip

.PHONY: deploy
deploy: build ## Build, and deploy with AWS SAM, which asks for what it needs.
	$(SAM) deploy --guided

.PHONY: tools
tools: $(AWS) $(HOME_ASSISTANT_VENV) $(SAM_VENV) $(CLIENTS) $(SCHEMATHESIS) ## Install what running and testing need.

# Each is the closure of what it is named for, so nothing is resolved and nothing newer slips in.
$(LATCHKEY_TOOLS)/%/.installed: dev/requirements/%.txt dev/python/find_python.sh
	@echo 'Installing $* under $(LATCHKEY_TOOLS)'
	@if ! $(@D)/bin/python -c 'import pip' 2>/dev/null; then \
	    python=$$(dev/python/find_python.sh); \
	    "$$python" -m venv --clear $(@D); \
	fi
	@$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --requirement $< </dev/null
	@touch $@

$(LATCHKEY_TOOLS)/cargo/bin/cargo-nextest:
	cargo install --locked --root $(LATCHKEY_TOOLS)/cargo cargo-nextest@$(CARGO_NEXTEST_VERSION) </dev/null

# Unoptimised: it builds in a fraction of the time and checks in a second all the same.
$(LATCHKEY_TOOLS)/cargo/bin/cargo-deny:
	cargo install --locked --debug --root $(LATCHKEY_TOOLS)/cargo cargo-deny@$(CARGO_DENY_VERSION) </dev/null

# The requirements' pins, renewed from what is installed now.
.PHONY: freeze
freeze: tools
	@for name in aws clients homeassistant sam schemathesis; do \
	    { head -n 1 dev/requirements/$$name.txt; $(LATCHKEY_TOOLS)/$$name/bin/python -m pip freeze | sort -f; } \
	        >dev/requirements/$$name.new; \
	    mv dev/requirements/$$name.new dev/requirements/$$name.txt; \
	    touch $(LATCHKEY_TOOLS)/$$name/.installed; \
	done

.PHONY: clean
clean: ## Remove what was built; the tools stay.
	cargo clean
	rm -rf .aws-sam
