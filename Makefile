# latchkey: `make help` lists the targets.
#
# Missing tools are installed once, under $(LATCHKEY_TOOLS). A stamp file marks each installed tool. The system must
# have a Rust toolchain, a C compiler, Python 3.13 or newer with venv, Node.js 20 or newer with npm, make and
# util-linux (setpriv).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

export LATCHKEY_TOOLS ?= $(CURDIR)/.tools
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

CARGO_DENY_VERSION := 0.20.2
CARGO_NEXTEST_VERSION := 0.9.143

# The installed tools are used only if the system does not have them.
export PATH := $(PATH):$(LATCHKEY_TOOLS)/cargo/bin
NEXTEST := $(if $(shell command -v cargo-nextest),,$(LATCHKEY_TOOLS)/cargo/bin/cargo-nextest)
DENY := $(if $(shell command -v cargo-deny),,$(LATCHKEY_TOOLS)/cargo/bin/cargo-deny)

AWS := $(LATCHKEY_TOOLS)/aws/.installed
HOME_ASSISTANT_VENV := $(LATCHKEY_TOOLS)/homeassistant/.installed
SAM_VENV := $(LATCHKEY_TOOLS)/sam/.installed
CLIENTS := $(LATCHKEY_TOOLS)/clients/.installed
SCHEMATHESIS := $(LATCHKEY_TOOLS)/schemathesis/.installed
JS_CLIENTS := $(LATCHKEY_TOOLS)/js/.installed

export SAM_CLI_TELEMETRY := 0
SAM := $(LATCHKEY_TOOLS)/sam/bin/sam
# The linter requires a region, but sends no request to AWS.
VALIDATION_REGION := eu-central-1

RELEASE := $(TARGET_DIR)/release
PACKAGE := $(TARGET_DIR)/lambda/latchkey
# The version of glibc in Amazon Linux 2023.
LAMBDA_GLIBC := 2.34

.PHONY: help
help: ## List the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18
	@echo
	@echo '  make run HOME_ASSISTANT=real           use a real Home Assistant, not the simulated home'
	@echo '  make run HA_URL=http://host:8123       use your own home; standard input has its token'
	@echo '  make run LIGHT=light.porch KEEP=1      switch this light; keep the stack running'
	@echo '  make bench ONLY=warm_command,memory    run only these parts'
	@echo '  make bench BENCH_FREEZE_SECONDS=90     use a freeze of this length'

# `run` needs the virtual environment of Home Assistant only with HOME_ASSISTANT=real.
.PHONY: run
run: $(AWS) $(SAM_VENV) $(if $(filter real,$(HOME_ASSISTANT)),$(HOME_ASSISTANT_VENV)) ## Run the main job once, on the local stack.
	@cargo build --package latchkey --bin bootstrap --package latchkey-local --bin latchkey-local </dev/null
	@$(TARGET_DIR)/debug/latchkey-local --bootstrap $(abspath $(TARGET_DIR)/debug/bootstrap)

# The tests use the release build, because Lambda runs it. They come last, so that their summary ends the output.
.PHONY: test
test: tools $(NEXTEST) ## Run all tests, also those with a real Home Assistant and the AWS emulator.
	cargo build --release --bin bootstrap
	cargo test --package latchkey --package testkit --doc
	LATCHKEY_BOOTSTRAP=$(abspath $(RELEASE)/bootstrap) cargo nextest run --workspace

.PHONY: check
check: $(SAM_VENV) $(DENY) ## Check format, lints, docs, dependencies and template.
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

# The function is built separately, as for deployment. In one build with the local stack, shared dependencies would also
# get the features that only the stack needs.
.PHONY: bench
bench: $(AWS) ## Measure speed, memory and size, next to the fastest possible alternative.
	cargo build --release --package latchkey --bin bootstrap
	cargo build --release --package latchkey-bench --bin latchkey-bench --bin bare
	@for name in bootstrap bare; do \
	    rm -f $(RELEASE)/$$name.zip; \
	    $(LATCHKEY_TOOLS)/aws/bin/python -m zipfile -c $(RELEASE)/$$name.zip $(RELEASE)/$$name; \
	done
	$(RELEASE)/latchkey-bench --bootstrap $(abspath $(RELEASE)/bootstrap) --bare $(abspath $(RELEASE)/bare) \
	    --report $(TARGET_DIR)/bench.json

.PHONY: build
build: $(SAM_VENV) ## Build the release zip, target/lambda/latchkey.zip.
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
deploy: build ## Build, then deploy with AWS SAM, which asks for parameters.
	$(SAM) deploy --guided

.PHONY: tools
tools: $(AWS) $(HOME_ASSISTANT_VENV) $(SAM_VENV) $(CLIENTS) $(SCHEMATHESIS) $(JS_CLIENTS) ## Install all tools.

# Each requirements file lists all packages with their versions, so pip resolves no dependencies and installs no newer
# version.
$(LATCHKEY_TOOLS)/%/.installed: dev/requirements/%.txt dev/python/find_python.sh
	@echo 'Installing $* under $(LATCHKEY_TOOLS)'
	@if ! $(@D)/bin/python -c 'import pip' 2>/dev/null; then \
	    python=$$(dev/python/find_python.sh); \
	    "$$python" -m venv --clear $(@D); \
	fi
	@$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --requirement $< </dev/null
	@touch $@

# The script lies beside its packages, because Node.js looks for packages there.
$(JS_CLIENTS): dev/js/package.json dev/js/package-lock.json dev/js/socket_client.mjs
	@echo 'Installing js under $(LATCHKEY_TOOLS)'
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@npm ci --prefix $(@D) --silent --no-audit --no-fund </dev/null
	@touch $@

$(LATCHKEY_TOOLS)/cargo/bin/cargo-nextest:
	cargo install --locked --root $(LATCHKEY_TOOLS)/cargo cargo-nextest@$(CARGO_NEXTEST_VERSION) </dev/null

# Built without optimisation, which takes a fraction of the time. A check still takes only a second.
$(LATCHKEY_TOOLS)/cargo/bin/cargo-deny:
	cargo install --locked --debug --root $(LATCHKEY_TOOLS)/cargo cargo-deny@$(CARGO_DENY_VERSION) </dev/null

# Renews the pins in dev/requirements from the installed packages.
.PHONY: freeze
freeze: tools
	@for name in aws clients homeassistant sam schemathesis; do \
	    { head -n 1 dev/requirements/$$name.txt; $(LATCHKEY_TOOLS)/$$name/bin/python -m pip freeze | sort -f; } \
	        >dev/requirements/$$name.new; \
	    mv dev/requirements/$$name.new dev/requirements/$$name.txt; \
	    touch $(LATCHKEY_TOOLS)/$$name/.installed; \
	done

.PHONY: clean
clean: ## Remove the build; keep the tools.
	cargo clean
	rm -rf .aws-sam
