# `make help` lists what there is. Everything is built under target/.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test rust-test demo-test lint bench simulate prove fuzz rust tools
.PHONY: lib dist install c-test c-tools sanitize sizes wasm proxy
.PHONY: go-engine go-module go-test go-bench
.PHONY: envoy-test envoy-soak envoy-image envoy-bench
.PHONY: wheel sdist sdist-test python-test python-bench
.PHONY: js js-test js-bench

CARGO ?= cargo
GO ?= go
SEEDS ?= 20000
SECONDS ?= 60
ROUNDS ?= 100000
SOAK ?= 600
DIST ?= x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FROM ?= $(CARGO_TARGET_DIR)/lib
export CARGO_TARGET_DIR ?= $(CURDIR)/target

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: c-tools ## the whole story on the embedded lab, less than a minute after the build
	@$(call need,$(CARGO) $(GO) npm cc)
	@$(CARGO) build --locked --package svcauth-demo --package svcauth --features svcauth/cli
	@examples/demo/build "$$CARGO_TARGET_DIR"/debug
	@"$$CARGO_TARGET_DIR"/debug/svcauth-demo

test: rust-test c-test sizes go-test python-test js-test envoy-test demo-test ## all tests of all languages

rust-test: c-tools tools ## the tests of core, the Rust client, the command, the lab and the C ABI
	$(CARGO) test --locked --workspace --all-features
	$(CARGO) build --locked --package svcauth-core --target wasm32v1-none

demo-test: c-tools tools ## that each act of the demo is observed, and no secret told
	$(CARGO) test --locked --workspace --all-features --test demo

lint: tools ## formatting, clippy, go vet
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path core/fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings

bench: tools ## what is promised about speed, as ratios in one run
	$(CARGO) bench --locked --package svcauth-bench
	$(CARGO) bench --locked --package svcauth
	bindings/go/bench/run
	bindings/python/bench/run

simulate: tools ## the simulation with SEEDS=… lives, from a random start
	SVCAUTH_SEEDS=$(SEEDS) SVCAUTH_FIRST_SEED=$$RANDOM$$RANDOM $(CARGO) test --locked --package svcauth-core --test simulation -- --nocapture

prove: tools ## that the simulation can fail: breaks the core on purpose, all breaks or BREAK="name …"
	$(CARGO) test --locked --package svcauth-core --test prove -- $(BREAK)

fuzz: ## the core's readers with libFuzzer, SECONDS=… each, all or TARGETS="name …"; needs a nightly compiler
	core/fuzz/run $(SECONDS) $(TARGETS)

lib: rust ## the C library for this machine; FEATURES= leaves its own HTTP client out
	@ffi/build-lib "$$CARGO_TARGET_DIR/lib"

dist: rust ## the C library for any Linux with glibc 2.28, for each of DIST="triple …"
	@for triple in $(DIST); do ffi/build-lib "$$CARGO_TARGET_DIR/dist/$$triple" $$triple; done

c-test: c-tools rust ## the C tests and examples with the portable library, under sanitizers
	@ffi/build-lib "$$CARGO_TARGET_DIR/dist/$(HOST)" $(HOST)
	SVCAUTH_LIBRARY="$$CARGO_TARGET_DIR/dist/$(HOST)" SVCAUTH_SANITIZE=address,undefined \
	    $(CARGO) test --locked --workspace --all-features --test c --test installed
	SVCAUTH_LIBRARY="$$CARGO_TARGET_DIR/dist/$(HOST)" $(CARGO) test --locked --workspace --all-features --test c

sanitize: c-tools rust ## ROUNDS=100000 of create, use and free in C with AddressSanitizer, valgrind and ThreadSanitizer
	@ffi/tests/sanitize "$(ROUNDS)"

install: ## installs the C library that `make lib` built; PREFIX=/usr/local, DESTDIR=, FROM=another folder
	@ffi/install-lib "$(FROM)"

proxy: tools ## the filter for Envoy, target/svcauth-proxy.wasm
	@wasm/proxy/build

wasm: tools ## the C library as a WebAssembly module, for Go without cgo
	@ffi/build-wasm

sizes: tools ## builds the C library without its own HTTP client and the WebAssembly module, which check what they weigh
	@FEATURES= ffi/build-lib "$$CARGO_TARGET_DIR/small"
	@ffi/build-wasm

go-engine: tools ## the Go source of the default engine of bindings/go
	@bindings/go/tools/make-engine

go-module: tools ## the Go module as it is released, in target/go-module
	@bindings/go/tools/make-module >/dev/null

go-test: c-tools tools ## the tests of bindings/go, with both engines, of the module as it is released, and of the examples
	@bindings/go/tools/test
	@bindings/go/tools/test-release
	@examples/go/test
	@examples/openchami/test

go-bench: c-tools tools ## what is promised about bindings/go, with both engines
	@bindings/go/bench/run

wheel: c-tools rust ## the Python wheels for any Linux with glibc 2.28, for each of DIST="triple …", in target/wheels
	@bindings/python/tools/wheel $(DIST)

sdist: c-tools rust ## the source distribution of the Python package, in target/wheels
	@bindings/python/tools/sdist

sdist-test: c-tools rust ## that the source distribution builds with cargo, in an empty environment
	@bindings/python/tools/test-sdist

python-test: c-tools tools ## the tests of bindings/python as it is installed, its types, and the examples in Python
	@bindings/python/tools/test

python-bench: c-tools tools ## what is promised about bindings/python, beside other libraries
	@bindings/python/bench/run

envoy-test: c-tools tools ## the filter in the real Envoy, with the configurations of examples/envoy
	$(CARGO) test --locked --workspace --all-features --test envoy

envoy-soak: c-tools tools ## the same with all faults at once for SOAK=600 seconds
	SVCAUTH_SOAK_S=$(SOAK) $(CARGO) test --locked --workspace --all-features --test envoy mixed_faults -- --nocapture

envoy-image: c-tools tools ## the filter as an OCI image layout, in target/envoy-image
	@wasm/envoy/make-image "$$(wasm/proxy/build)" "$$CARGO_TARGET_DIR/envoy-image"

envoy-bench: c-tools tools ## what is promised about the filter, against Envoy's own credential_injector
	@command -v wrk >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk; \
	else \
	    echo "the benchmark needs wrk (Debian's package wrk)" >&2; exit 1; \
	fi
	$(CARGO) bench --locked --profile dev --package svcauth-envoy

js: tools ## the npm package as it is published, in target/js/package
	@bindings/js/build

js-test: tools ## the tests of the npm package: in Node, Deno, Bun, workerd and Chromium, its types, its size, the examples
	@bindings/js/tools/test

js-bench: tools ## what is promised about the npm package, with tokens of one second for SECONDS=…
	@SECONDS_UNDER_LOAD=$(SECONDS) bindings/js/bench/run

# What is missing is named; `tools` adds the one rustup target that the tests build for.
need = missing=; for tool in $(1); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
	    echo "svcauth needs these on the PATH:$$missing (Rust comes from rustup.rs, Go from go.dev, npm from nodejs.org, the others from your system)" >&2; \
	    exit 1; \
	fi

# Debian's packages that a root user gets here; others are told.
c-tools:
	@missing=; \
	for tool in c++ cmake make pkg-config python3; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	for library in jansson libcurl nettle; do pkg-config --exists $$library 2>/dev/null || missing="$$missing $$library"; done; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	    packages="g++ cmake make pkg-config python3-venv libjansson-dev libcurl4-openssl-dev nettle-dev"; \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        apt-get update -qq && apt-get install -y -qq --no-install-recommends $$packages; \
	    else \
	        echo "the demo and the tests of C need:$$missing; Debian's packages are $$packages" >&2; \
	        exit 1; \
	    fi; \
	fi

rust:
	@$(call need,$(CARGO) cc)

tools:
	@$(call need,$(CARGO) rustup $(GO) cc npm)
	@rustup target list --installed | grep -qx wasm32v1-none || rustup target add wasm32v1-none
