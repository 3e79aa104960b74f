# The commands of everyday. `make help` lists them.

ARGS ?=
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

.PHONY: help run test measure soak bench-writer bench-writer-split bench-writer-flat bench-writer-profile bench-wasm bench-policy bench-files fuzz guests fmt lint deny services-clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and start `weir dev` on port 3010 (ARGS="--fresh" starts over)
	@scripts/install dev
	@echo "· building the sample validators" >&2
	@scripts/guests >/dev/null
	@echo "· building Weir (5 to 15 minutes the first time)" >&2
	@cargo build --profile local --locked --bin weir
	@exec "$(TARGET)/local/weir" dev --guests "$(TARGET)/guests" $(ARGS)

test: ## Start the real services, build the guests, run every test (ARGS="name" runs those whose name has it)
	@scripts/test $(ARGS)

measure: ## Run what takes minutes or prints figures: many random policies against casbin, rows a second of the store
	@WEIR_TEST_PROFILE=release scripts/test --ignored --nocapture --test-threads 1 --skip soak

soak: ## Run the long forms of the faults: 100 kills, 2,000 broken commits (ARGS="kills" runs those whose name has it)
	@scripts/test --ignored --nocapture --test-threads 1 $(or $(ARGS),soak)

fuzz: ## Fuzz each decoder for a minute (ARGS=600: seconds); needs a nightly toolchain
	@scripts/fuzz $(ARGS)

bench-writer: ## Measure the writer beside COPY and what it replaces, about 15 minutes (ARGS="--rounds 1 --lines abe"; bench/README.md)
	@scripts/bench writer $(ARGS)

bench-writer-split: ## The same with PostgreSQL on one half of the cores and all else on the other, as on a machine of its own
	@scripts/bench writer --split $(ARGS)

bench-writer-flat: ## The same for line b alone, with 1 M and with 20 M rows
	@scripts/bench writer --lines b --flat-rows 20000000 $(ARGS)

bench-writer-profile: ## Where Weir's time goes in line b, by perf: target/bench/writer-profile.txt
	@scripts/bench writer --lines b --rounds 1 --profile $(ARGS)

bench-wasm: ## Measure what a reading costs in a guest beside native code, list<record> and Extism, 2 minutes (bench/README.md)
	@scripts/bench wasm $(ARGS)

bench-policy: ## Measure what a decision costs beside casbin and Cedar, and how long new rules take, 3 minutes (bench/README.md)
	@scripts/bench policy $(ARGS)

bench-files: ## Measure files through Weir beside the S3 store itself and beside Express, about 20 minutes (bench/README.md)
	@scripts/bench files $(ARGS)

guests: ## Build the sample guests into components
	@scripts/guests

fmt: ## Format all Rust code
	@cargo fmt --all
	@cargo fmt --all --manifest-path validators/Cargo.toml
	@cargo fmt --all --manifest-path fuzz/Cargo.toml
	@cargo fmt --all --manifest-path bench/Cargo.toml
	@cargo fmt --all --manifest-path bench/peers/Cargo.toml
	@cargo fmt --manifest-path bench/wasm/Cargo.toml
	@cargo fmt --manifest-path bench/policy/Cargo.toml

# Not on bench/wasm, bench/policy and bench/peers, which would have every run compile Cedar and two versions of wasmtime.
lint: ## Clippy on host, tests, guests and bench; warnings are errors
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@cargo clippy --manifest-path validators/Cargo.toml --workspace --locked -- -D warnings
	@cargo clippy --manifest-path bench/Cargo.toml --all-targets --locked -- -D warnings

deny: ## Check licences, bans and sources of all dependencies, those of guests, benches and fuzzers too
	@command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	@for package in . validators fuzz bench bench/peers bench/wasm bench/policy; do \
		echo "$$package"; cargo deny --config deny.toml --manifest-path $$package/Cargo.toml --all-features check licenses bans sources || exit 1; \
	done

services-clean: ## Remove what scripts/services keeps in its cache (it will be built again)
	@rm -rf "$${WEIR_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/weir}"
