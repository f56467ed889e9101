# Thin names over cargo and the scripts of tools/: everything here can be typed by hand.

# RUSTFLAGS would replace those of .cargo/config.toml, and with them the way programs find libtorch;
# LIBTORCH_USE_PYTORCH would lead torch-sys past .libtorch/.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET LIBTORCH_USE_PYTORCH

CARGO ?= cargo
PYTHON ?= python3
BINARIES := $(or $(CARGO_TARGET_DIR),target)/release
# Where tests write down what they could not try.
SKIPPED := $(abspath $(or $(CARGO_TARGET_DIR),target)/skipped-tests)
# Further words for `make run`, such as ARGS="experiment=mnist trainer.max_epochs=3", or for `make bench`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup build run test soak lint bench conformance doctor clean

help: ## List these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name text; do printf 'make %-8s %s\n' "$$name" "$$text"; done

setup: ## Check the tools, put libtorch into .libtorch/ (once)
	@tools/doctor --quiet
	@tools/setup-libtorch

build: setup ## Build both programs, optimised
	$(CARGO) build --release -p fulmen-cli -p fulmen-worker

run: build ## Build, then train the default experiment (ARGS="key=value …" changes it)
	$(BINARIES)/fulmen train $(ARGS)

# Some tests start an example, and `cargo test --tests` builds none.
# Documentation tests are linked in a temporary folder, where paths relative to the program lead nowhere.
test: build .venv-services/ready ## Run all tests; says at the end what had to be skipped
	$(CARGO) build --release --workspace --examples
	@rm -f $(SKIPPED)
	FULMEN_TEST_SKIPPED=$(SKIPPED) $(CARGO) test --release --workspace --lib --bins --tests
	LD_LIBRARY_PATH="$(CURDIR)/.libtorch/lib$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}" $(CARGO) test --release --workspace --doc
	@tools/test-services --report $(SKIPPED)

soak: build ## Kill and resume a run at 200 points, and compare every bit (POINTS=… SEED=…)
	$(CARGO) build --release -p fulmen-worker --example resume_worker
	FULMEN_RESUME_POINTS=$(or $(POINTS),200) FULMEN_RESUME_SEED=$(or $(SEED),2) $(CARGO) test --release -p fulmen-cli --test it resume:: -- --nocapture --test-threads=1

# --release shares libtorch's C++ part and the build scripts with `make test`.
lint: setup ## Formatting, clippy, dependencies; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	tools/deny

# The input pipeline is measured on a folder of photographs of the user's own: train/<class>/*.jpg.
bench: build .venv-bench/ready .venv-hydra/ready .venv-tracking/ready ## Measure against PyTorch Lightning (writes bench/RESULTS.md), Hydra and MLflow (bench/TRACKING.md); IMAGES=<folder> adds torchvision
	$(CARGO) build --release -p fulmen-base --example overhead -p fulmen-vision --example input_pipeline
	$(PYTHON) bench/run.py $(ARGS) --fulmen $(BINARIES)/fulmen
	$(BINARIES)/examples/overhead
	.venv-bench/bin/python bench/lightning/overhead.py
	$(PYTHON) bench/tracking_step.py --fulmen $(BINARIES)/fulmen
	@$(if $(IMAGES),.venv-bench/bin/python bench/input_pipeline.py "$(IMAGES)" --program $(BINARIES)/examples/input_pipeline,echo "input pipeline: skipped; IMAGES=<folder> names its photographs")
	.venv-hydra/bin/python bench/configuration.py --fulmen $(BINARIES)/fulmen
	.venv-tracking/bin/python bench/tracking.py --fulmen $(BINARIES)/fulmen

conformance: build .venv-hydra/ready ## Hold the composer against the real Hydra on random trees and overrides
	.venv-hydra/bin/python crates/configuration/conformance/against_hydra.py "$(BINARIES)/fulmen config batch" $(ARGS)

.venv-hydra/ready: crates/configuration/conformance/requirements.txt
	$(PYTHON) -m venv .venv-hydra
	.venv-hydra/bin/python -m pip install --disable-pip-version-check --quiet -r $<
	@touch $@

# Servers that tests speak to. The script never fails: without them their tests are skipped, and say so.
.venv-services/ready: tools/test-services.txt tools/test-services
	@PYTHON=$(PYTHON) tools/test-services

# The Lightning that `make bench` measures against, with the whole torch: 2.7 GB to fetch, 5 GB on disk.
.venv-bench/ready: bench/lightning/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --disable-pip-version-check -r $<
	@touch $@

.venv-tracking/ready: bench/tracking-requirements.txt
	$(PYTHON) -m venv .venv-tracking
	.venv-tracking/bin/python -m pip install --disable-pip-version-check --quiet -r $<
	@touch $@

doctor: ## Say what this machine has and lacks
	@tools/doctor

clean: ## Delete what was built; keeps libtorch
	$(CARGO) clean
