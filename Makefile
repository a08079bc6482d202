# One word for each thing that one does with a clone. `make` alone lists them.

SHELL := bash
STAGE := scripts/stage.sh
ARGS ?=
RUN ?=
DIR ?= screenshots

# Straight after rustup, Cargo is in no PATH yet.
ifeq ($(shell command -v cargo),)
ifneq ($(wildcard $(HOME)/.cargo/bin/cargo),)
export PATH := $(PATH):$(HOME)/.cargo/bin
endif
endif

.DEFAULT_GOAL := help
.PHONY: help setup build run test check kill fuzz sweep screenshots bench bench-training bench-screen bench-wire bench-frames bench-metrics clean

help: ## list these
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch what is missing: libtorch, Fashion-MNIST (once; then it only looks)
	@scripts/setup.sh

build: setup ## build the release binary
	@cargo build --release

run: setup ## train on Fashion-MNIST and watch (ARGS="--preset fast --set train.epochs=3")
	@# 3 is a run stopped on request with a checkpoint: what was wanted, and no error of make's.
	@cargo run --release -- train $(ARGS) || { code=$$?; [ $$code = 3 ] || exit $$code; }

test: setup check ## everything that must hold: format, lints, tests, with the engine and without
	@$(STAGE) "viewer: tests" cargo test --no-default-features
	@# The screens are the same with the engine, so their tests are not run again; `cargo test` alone runs all.
	@$(STAGE) "tests" cargo test --lib --bins --test engine

check: setup ## format and lints only
	@$(STAGE) "format" cargo fmt --check
	@$(STAGE) "clippy" cargo clippy --all-targets -- -D warnings
	@$(STAGE) "viewer: clippy" cargo clippy --no-default-features --all-targets -- -D warnings

kill: setup ## a training killed 200 times at random, with a checkpoint at each step; a screen killed 100 times
	@cargo test --test engine -- --ignored --nocapture two_hundred_kills a_hundred_killed_screens

fuzz: ## a million damaged files of each kind that is read (no libtorch)
	@cargo test --no-default-features --test viewer -- --ignored --nocapture a_million_changed_files

sweep: ## every page in every state on every size, 380,000 screens checked cell by cell (no libtorch)
	@cargo test --release --no-default-features --test viewer -- --ignored --nocapture everything_with_everything

bench: bench-training bench-screen bench-wire bench-frames bench-metrics ## everything that is measured, in half an hour; the parts are below

bench-training: build ## images/s beside PyTorch (sets up its own environment), and the parts of a step
	@cargo bench --bench engine
	@python3 -B scripts/bench $(ARGS)

bench-screen: build ## what watching costs the training: attached, stalled, clients that come and go
	@python3 -B scripts/bench/screen.py $(ARGS)

bench-wire: build ## bytes a frame and a second, key to acknowledgement, event to screen
	@python3 -B scripts/bench/wire.py $(ARGS)

bench-frames: ## a frame of each page with a million steps behind it, the fold, the size of a run's state (no libtorch)
	@cargo bench --no-default-features --bench screen

bench-metrics: ## how fast the numbers of an evaluation are, and whether their intervals hold (no libtorch)
	@cargo bench --no-default-features --bench metrics
	@cargo test --release --no-default-features --lib -- --ignored --nocapture coverage

screenshots: ## every page of a run as SVG (RUN=name or directory; DIR=screenshots; ARGS="--theme light")
	@scripts/screenshots.sh "$(RUN)" "$(DIR)" $(ARGS)

clean: ## remove what was built (libtorch, data and runs stay)
	@cargo clean
