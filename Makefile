# `make demo` sets everything up and trains a sample scene; `make test` runs the tests. Both make a virtual environment
# in .venv, or use the one that is there. PYTHON=python3.12 chooses another Python for a new one.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= runs/demo
ITERATIONS ?= 1500
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := $(shell find splat cuda_rasterizer datasets compression training viewer -type f \
	! -name '.*' ! -name '*.pyc' ! -path '*/__pycache__/*' 2>/dev/null) pyproject.toml constraints.txt README.md
CPP := $(shell find cuda_rasterizer/csrc -type f \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) 2>/dev/null)

.PHONY: help demo install emulation test slow fuzz sanitize sanitize-emulation races docs docs-serve lint lint-rules lint-format lint-kernels lint-types format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo     set up, then make a sample capture, train on it, evaluate, say where the results are"
	@echo "make test     set up, then run the test suite"
	@echo "make slow     run the slow tests"
	@echo "make fuzz     feed damaged files to the readers of all formats, until Ctrl-C"
	@echo "make sanitize run the kernels' tests, CUDA emulated, with the address and undefined-behavior sanitizers (GCC)"
	@echo "make races    run the tests of the emulated CUDA kernels where every race through memory is an error (GCC)"
	@echo "make emulation build the CUDA kernels for the CPU, for the tests"
	@echo "make install  set up only: the program is then $(BIN)/splat"
	@echo "make lint     check style and types      make format  apply the style"
	@echo "make docs     build the documentation into build/docs      make docs-serve  show it while you write"
	@echo "make clean    delete what was built and the environment that this Makefile made"

# --- set-up -----------------------------------------------------------------------------------------------------------
# One chain of files, so that `make -j` never runs two installations at once.

$(VENV)/.ready:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found. Install Python 3.10 or newer, or say make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: $$($(PYTHON) --version) is too old: splat needs 3.10 or newer. Say make PYTHON=python3.12 or the like."; exit 1; }
	@if [ ! -x $(BIN)/python ]; then \
		$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
			{ echo "error: $(PYTHON) cannot make virtual environments. Debian, Ubuntu: apt install python3-venv"; exit 1; }; \
		echo "making a virtual environment in $(VENV)"; \
		$(PYTHON) -m venv $(VENV) && touch $(VENV)/.made-by-make || exit 1; \
	fi
	@touch $@

$(VENV)/.splat: $(SOURCES) | $(VENV)/.ready
	@$${CXX:-c++} --version >/dev/null 2>&1 || \
		{ echo "error: no C++ compiler ($${CXX:-c++}). Debian, Ubuntu: apt install g++. Or set CXX."; exit 1; }
	@$(BIN)/python -c 'import os, sys, sysconfig; \
		sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || \
		{ echo "error: the headers of Python (Python.h) are missing. Debian, Ubuntu: apt install python3-dev"; exit 1; }
	@echo "installing splat into $(VENV) (compiles the kernels; downloads PyTorch the first time)"
	@$(PIP_INSTALL) .
	@touch $@

# The tools of an extra of what was just installed; asking pip for '.[test]' would build it all again. $(1): the extra.
define install_extra
@$(BIN)/python -c 'import importlib.metadata as metadata; \
	print(*(line.split(";")[0] for line in metadata.requires("splat") if "extra == " in line and "$(1)" in line.split("extra == ")[1]), sep="\n")' > $@.txt
@$(PIP_INSTALL) -r $@.txt
@touch $@
endef

$(VENV)/.test-tools: $(VENV)/.splat
	@echo "installing the test tools"
	$(call install_extra,test)

$(VENV)/.docs-tools: $(VENV)/.test-tools
	@echo "installing the tools of the documentation"
	$(call install_extra,docs)

# The CUDA kernels, compiled by the C++ compiler for the CPU. $(1): folder, $(2): flags, $(3): options of the build.
define build_emulation
$(BIN)/cmake -S cuda_rasterizer -B $(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DSPLAT_EMULATION=ON $(3) \
	-DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="$(2)" -DPython_EXECUTABLE=$(abspath $(BIN))/python \
	-Dnanobind_DIR=$$($(BIN)/python -m nanobind --cmake_dir) > $(1).log && $(BIN)/cmake --build $(1) >> $(1).log || \
	{ cat $(1).log; exit 1; }
endef

build/emulation/.built: $(VENV)/.test-tools $(CPP) cuda_rasterizer/CMakeLists.txt
	@mkdir -p build/emulation
	@echo "compiling the CUDA kernels for the CPU"
	@$(call build_emulation,build/emulation,)
	@touch $@

# The formats' own programs, for round trips in the tests; without npm those are skipped.
build/node/.installed: tests/compression/package.json tests/compression/package-lock.json
	@mkdir -p build/node
	@if command -v npm >/dev/null; then \
		echo "installing the formats' own programs into build/node"; \
		cp $^ build/node/ && npm ci --prefix build/node --no-audit --no-fund --ignore-scripts --loglevel=error > build/node.log 2>&1 && \
			touch $@ || { tail -5 build/node.log; echo "warning: not installed; tests with them are skipped"; }; \
	else echo "npm is not there: tests with the formats' own programs are skipped"; fi

install: $(VENV)/.splat

emulation: build/emulation/.built

# --- what people run --------------------------------------------------------------------------------------------------

demo: $(VENV)/.splat
	@$(BIN)/splat doctor
	@test -d $(DEMO)/capture || $(BIN)/splat sample $(DEMO)/capture
	$(BIN)/splat train $(DEMO)/capture -o $(DEMO)/run --iterations $(ITERATIONS) --eval --overwrite
	$(BIN)/splat render $(DEMO)/run -o $(DEMO)/orbit.mp4
	@echo
	@echo "look at this first:    $(DEMO)/run/report.html"
	@echo "the scene:             $(DEMO)/run/point_cloud/iteration_$(ITERATIONS)/point_cloud.ply   (opens in https://superspl.at/editor)"
	@echo "photo, render, error:  $(DEMO)/run/renders/"
	@echo "scores:                $(DEMO)/run/metrics.json"
	@echo "a flight around it:    $(DEMO)/orbit.mp4"

# pytest, not python -m pytest: the latter would import the checkout instead of what was installed.
test: $(VENV)/.test-tools build/emulation/.built build/node/.installed
	$(BIN)/pytest

slow: $(VENV)/.test-tools build/emulation/.built
	$(BIN)/pytest -m slow

# Until Ctrl-C, or FUZZ_SECONDS; what crashes a reader is written to build/fuzz.
FUZZ_SECONDS ?= 0
fuzz: $(VENV)/.test-tools
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(PIP_INSTALL) atheris
	@mkdir -p build/fuzz/corpus
	$(BIN)/python tests/compression/fuzz_readers.py build/fuzz/corpus tests/compression/data \
		-max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ -rss_limit_mb=2048

# Builds of their own beside the installed one. torch's tracing of operators does not run under the sanitizers.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -g1
SANITIZED := ASAN_OPTIONS=detect_leaks=0 SPLAT_EMULATION=build/sanitize/emulation \
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)"

sanitize: sanitize-emulation
	CXXFLAGS="$(SANITIZE)" $(PIP_INSTALL) --no-deps --upgrade --target build/sanitize/site \
		-C build-dir=build/sanitize/cmake -C cmake.define.SPLAT_CUDA=OFF .
	$(SANITIZED) PYTHONPATH=build/sanitize/site $(BIN)/pytest tests/cuda_rasterizer -p no:cacheprovider -k "not operators_keep"

sanitize-emulation: $(VENV)/.test-tools
	@mkdir -p build/sanitize/emulation
	@$(call build_emulation,build/sanitize/emulation,$(SANITIZE))
	$(SANITIZED) $(BIN)/pytest tests/cuda_rasterizer -p no:cacheprovider -k "emulated and not operators_keep"

races: $(VENV)/.test-tools
	@mkdir -p build/races
	@$(call build_emulation,build/races,,-DSPLAT_RACES=ON)
	SPLAT_EMULATION=build/races $(BIN)/pytest tests/cuda_rasterizer -p no:cacheprovider -k "emulated or test_emulation"

# The variable silences an announcement of the theme, which is no warning about the documentation.
docs: $(VENV)/.docs-tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the documentation: build/docs/index.html; with search: python3 -m http.server -d build/docs"

docs-serve: $(VENV)/.docs-tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --livereload

lint: lint-rules lint-format lint-kernels lint-types

lint-rules: $(VENV)/.test-tools
	$(BIN)/ruff check

lint-format: $(VENV)/.test-tools
	$(BIN)/ruff format --check

lint-kernels: $(VENV)/.test-tools
	$(if $(CPP),$(BIN)/clang-format --dry-run --Werror $(CPP))

# The installed package, from a neutral folder: there every subpackage is seen, under its installed name.
lint-types: $(VENV)/.test-tools
	cd / && $(abspath $(BIN))/mypy --config-file $(abspath pyproject.toml) --cache-dir $(abspath .mypy_cache) -p splat

format: $(VENV)/.test-tools
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format
	$(if $(CPP),$(BIN)/clang-format -i $(CPP))

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f $(VENV)/.ready $(VENV)/.splat $(VENV)/.test-tools $(VENV)/.docs-tools $(VENV)/.test-tools.txt $(VENV)/.docs-tools.txt
	@if [ -f $(VENV)/.made-by-make ]; then rm -rf $(VENV); fi
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
