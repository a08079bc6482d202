# Targets for common tasks. `make` without arguments lists them.

SHELL := bash
STAGE := scripts/stage.sh
ARGS ?=
RUN ?=
DIR ?= screenshots
PREFIX ?= $(HOME)/.local
TARGET = $(or $(CARGO_TARGET_DIR),target)

# Right after installing rustup, Cargo is not yet in PATH.
ifeq ($(shell command -v cargo),)
ifneq ($(wildcard $(HOME)/.cargo/bin/cargo),)
export PATH := $(PATH):$(HOME)/.cargo/bin
endif
endif

.DEFAULT_GOAL := help
.PHONY: help setup build run install docs test test-python check kill fuzz sweep screenshots bench bench-training bench-share bench-packing bench-screen bench-wire bench-frames bench-metrics clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## download libtorch and Fashion-MNIST if they are missing
	@scripts/setup.sh

build: setup ## build the release binary
	@cargo build --release

run: setup ## train on Fashion-MNIST with a live screen (ARGS="--preset fast --set train.epochs=3")
	@# Exit code 3 means stopped on request with a checkpoint, which is not an error.
	@cargo run --release -- train $(ARGS) || { code=$$?; [ $$code = 3 ] || exit $$code; }

install: build ## install the program, man page and shell completions (PREFIX=~/.local)
	@scripts/install.sh "$(TARGET)/release/epochtop" "$(PREFIX)"

docs: ## update the generated parts of README.md and docs/ (no libtorch)
	@EPOCHTOP_DOCS=write cargo test --no-default-features --test viewer -- docs::

test: setup check ## run format check, lints and tests, with and without libtorch
	@$(STAGE) "viewer: tests" cargo test --no-default-features
	@# The viewer tests do not depend on libtorch, so they are not repeated here; `cargo test` alone runs all tests.
	@$(STAGE) "tests" cargo test --lib --bins --test engine

test-python: build ## check that NumPy, Pillow, pickle and pyarrow files of the same images train the same (downloads them)
	@python3 -B scripts/check_sources.py

check: setup ## run format check and lints only
	@$(STAGE) "format" cargo fmt --check
	@$(STAGE) "clippy" cargo clippy --all-targets -- -D warnings
	@$(STAGE) "viewer: clippy" cargo clippy --no-default-features --all-targets -- -D warnings

kill: setup ## kill a training process 200 times, a screen 100 times and packing 50 times at random moments
	@cargo test --test engine -- --ignored --nocapture two_hundred_kills a_hundred_killed_screens an_error_in_each_write killed_packing

fuzz: ## read a million damaged files of each format (no libtorch)
	@cargo test --no-default-features --test viewer -- --ignored --nocapture a_million_changed_files

sweep: ## check every page in every state and size, 380,000 screens (no libtorch)
	@cargo test --release --no-default-features --test viewer -- --ignored --nocapture everything_with_everything

bench: bench-training bench-screen bench-wire bench-frames bench-metrics ## run all benchmarks below (half an hour)

bench-training: build ## compare images/s with PyTorch (sets up its own environment); time the parts of a step
	@cargo bench --bench engine
	@python3 -B scripts/bench $(ARGS)

bench-share: build ## compare images/s alone and beside other processes (ARGS="--binary old=PATH --binary new=PATH")
	@python3 -B scripts/bench/share.py $(ARGS)

bench-packing: build ## compare the packing of JPEG files with PyTorch's DataLoader (makes 20,000 files, 1.5 GB)
	@python3 -B scripts/bench/packing.py $(ARGS)

bench-screen: build ## measure the training slowdown by attached, stalled and reconnecting clients
	@python3 -B scripts/bench/screen.py $(ARGS)

bench-wire: build ## measure bytes per frame and second, and latency from key and event to screen
	@python3 -B scripts/bench/wire.py $(ARGS)

bench-frames: ## time each page and the journal replay with a million steps; memory of the run state (no libtorch)
	@cargo bench --no-default-features --bench screen

bench-metrics: ## time the evaluation metrics and test the coverage of their intervals (no libtorch)
	@cargo bench --no-default-features --bench metrics
	@cargo test --release --no-default-features --lib -- --include-ignored --nocapture --test-threads=1 coverage

screenshots: ## save every page of a run as SVG (RUN=name or directory; DIR=screenshots; ARGS="--theme light")
	@scripts/screenshots.sh "$(RUN)" "$(DIR)" $(ARGS)

clean: ## delete build outputs (keeps libtorch, data and runs)
	@cargo clean
