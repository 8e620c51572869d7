# make demo   what Strongroom does, as a short story
# make test   every test that needs no container engine
#
# Both need Rust, make, and a C compiler for the hostile test programs
# (`make test` says so if it is missing). Everything else is in this Makefile.

CARGO  ?= cargo
TARGET := x86_64-unknown-linux-gnu
BIN    := target/$(TARGET)/release
DEBUG  := $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/debug

.PHONY: all build demo test test-inbox test-sdk test-agents check docs residency image test-containers bench deny clean

all: build

build:
	$(CARGO) build --release --locked --workspace --bins

demo: build
	examples/demo.sh $(BIN)

test: build
	tests/need.sh
	STRONGROOM_BIN=$(CURDIR)/$(BIN) $(CARGO) test --locked --workspace

# The inbox in headless Chromium, which it installs as root on Debian.
# SCREENSHOTS=FOLDER keeps pictures of every page.
test-inbox:
	$(CARGO) build --locked -p strongroom-inbox --bins --example broker
	tests/inbox/run.sh $(DEBUG) $(SCREENSHOTS)

# The Python package against real sessions.
test-sdk: build
	cd sdk/python && STRONGROOM_BIN=$(CURDIR)/$(BIN) PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=src:tests \
		python3 -W error::ResourceWarning -m unittest discover -s tests

# `strongroom mcp` with clients that nobody here wrote, which it installs
# beneath target/agents.
test-agents: build
	tests/agents/run.sh $(BIN)

# What a reviewer would complain about first.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	tests/house-rules.sh
	benches/report.py --check

# Documents that come from the code. `make test` fails when they drift.
docs: build
	docs/generate.sh $(BIN)/strongroom
	RESIDENCY=write $(CARGO) test --locked -q -p strongroom-tests --test residency the_document

# Where secrets are: starts sessions, stops them and looks through all their
# memory and files. As root. Writes the table in docs/threat-model.md.
residency: build
	RESIDENCY=write STRONGROOM_BIN=$(CURDIR)/$(BIN) $(CARGO) test --locked -p strongroom-tests --test residency -- \
		--nocapture --test-threads 1

image: build
	tests/containers/image.sh $(BIN)

test-containers: build
	tests/containers/run.sh

bench: build
	benches/run.sh $(BIN)

# Needs cargo-deny; the advisory database is not asked (see deny.toml).
deny:
	cargo deny --locked check bans licenses sources

clean:
	$(CARGO) clean
