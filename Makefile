# The commands of the README. Every target first makes the machine ready (Tools/setup.sh), which takes a quarter of a
# second when nothing is missing.

PEER_PYTHON ?= python3
# More arguments for the benchmarks: make bench BENCH_ARGS="--filter 'attention|conv2d' --threads 1"
BENCH_ARGS ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
# Short traces of allocations and a small quarantine: half as many inputs more in the same time.
FUZZ_ASAN_OPTIONS ?= detect_leaks=0:malloc_context_size=2:quarantine_size_mb=32

swift_files := Package.swift Benchmarks/Package.swift Sources Tests Benchmarks/Sources Benchmarks/Tests Examples/Methods/Package.swift Examples/Methods/Sources
bench := Benchmarks/.build/release/bench
quiet_build := swift build -c release --quiet

.PHONY: help setup build install demo demo-video results mpi mpi-check test test-explorer examples sanitize fuzz bench bench-peers bench-ggml bench-scoring peer-check bench-build bench-check docs format lint clean

help:
	@echo 'make demo         a picture and its concept maps by the model that comes along, into demo/'
	@echo 'make demo-video   videos and their concept maps by the video model that comes along, into demo-video/'
	@echo 'make test         build everything in release mode and run the tests'
	@echo 'make examples     build and run the package in Examples/, which uses this one from outside'
	@echo 'make test-explorer  try the explorer in a browser without a window, beside a crowd and malformed requests (Python, Chromium)'
	@echo 'make bench        measure the operations on the shapes of real models'
	@echo 'make bench-peers  the same in turns with PyTorch (PEER_PYTHON names its Python), as a table'
	@echo 'make bench-ggml   products in turns with ggml, built from the checkout that GGML names (cmake, a C++ compiler, NumPy)'
	@echo 'make results      all methods, ablations and faithfulness on the scenes that come along, into docs/results/scenes'
	@echo 'make mpi          the program with evaluate --mpi, into .build-mpi/ (Open MPI); make mpi-check tries it'
	@echo 'make bench-scoring  evaluate --maps beside NumPy and scikit-learn (PEER_PYTHON) on 1000 pictures'
	@echo 'make install      program, embedded models and shell completions below PREFIX (/usr/local unless given)'
	@echo 'make sanitize     the tests of kernels and files under AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer'
	@echo 'make fuzz         changed files into every reader, under AddressSanitizer, for FUZZ_SECONDS (60)'
	@echo 'make docs         documentation into docs-build/, warnings are errors'
	@echo 'make format       format all Swift files; make lint only checks'
	@echo 'make setup        install missing system packages, or say which; Tools/setup.sh --dry-run only says'

setup:
	@Tools/setup.sh

build: setup
	swift build -c release

# The program looks for the models beside itself and in ../share; DESTDIR is for who makes packages.
install: setup
	swift build -c release --product concept-attention
	Tools/install.sh "$(DESTDIR)$(PREFIX)"

# The demonstrations keep nothing in the user's cache.
demo: setup
	swift build -c release --product concept-attention
	@.build/release/concept-attention generate "a boat on the sea under the sky" --seed 1 --no-cache --output demo

# A video of the model's own, and maps of a drawn one that it has never seen, in which a boat bobs.
demo-video: setup
	swift build -c release --product concept-attention
	@.build/release/concept-attention generate "a boat drifting right on the sea under the sky" --model tiny-cogvideox \
	  --concepts boat,sea,sky --seed 9 --no-cache --output demo-video/generated
	@.build/release/concept-attention segment Sources/EmbeddedModels/Resources/tiny-cogvideox-scenes/005 \
	  --model tiny-cogvideox --prompt "a boat bobbing on the snow under the sky" --concepts boat,snow,sky \
	  --no-cache --output demo-video/followed

# The tables and plots that are committed: what they were made by.
results: setup
	swift build -c release --product concept-attention
	.build/release/concept-attention evaluate --dataset scenes --method all --ablate all \
	  --faithfulness word --faithfulness-limit 10 --output docs/results/scenes

# A build of its own: the default one stays free of Open MPI.
mpi: setup
	swift build -c release --traits MPI --scratch-path .build-mpi --product concept-attention

mpi-check: mpi
	Tools/mpi/check.sh .build-mpi/release/concept-attention

# Numeric code is some fifty times slower without optimisation, hence release. The second run takes the fallback kernels
# of a CPU without vector extensions.
test: setup
	swift build -c release --build-tests
	swift test -c release --skip-build --disable-testable-imports --disable-xctest --quiet
	CK_ISA=generic swift test -c release --skip-build --disable-testable-imports --disable-xctest --quiet --filter '^(Tensor|Formats|NN)Tests\.'

# A package outside of this one, with methods and a model of its own: what the public interface is enough for.
examples: setup
	cd Examples/Methods && swift run -c release --quiet methods

# Where Chromium is missing, what takes a browser is skipped and says so.
test-explorer: setup
	swift build -c release --product concept-attention
	python3 Tools/explorer/check.py

# Under sanitizers, in build folders of their own: the C kernels of every instruction set this CPU has, and the readers.
# What ThreadSanitizer reports falsely is listed, with the reason, in Tools/sanitizers/.
sanitize: setup
	Tools/sanitize.sh

fuzz: setup
	swift build -c release --sanitize=address --scratch-path .build-asan --product fuzz
	ASAN_OPTIONS=$(FUZZ_ASAN_OPTIONS) .build-asan/release/fuzz --seconds $(FUZZ_SECONDS)

bench-build: setup
	@cd Benchmarks && $(quiet_build) --product bench

# Nothing is timed: every operation against its reference, and the harness's own tests.
bench-check: bench-build
	@cd Benchmarks && swift test -c release --quiet --disable-xctest
	@$(bench) run --check

bench: bench-build
	@$(bench) run $(BENCH_ARGS)

bench-peers: peer-check bench-build
	@$(bench) peers --peer-command '$(PEER_PYTHON) Benchmarks/peers/torch_bench.py' $(BENCH_ARGS)

bench-ggml: bench-build
	@test -n "$(GGML)" || { echo 'GGML names no checkout: git clone https://github.com/ggml-org/ggml; make bench-ggml GGML=ggml' >&2; exit 1; }
	@$(bench) peers --peer-command '$(PEER_PYTHON) Benchmarks/peers/ggml_bench.py --checkout $(GGML)' $(if $(BENCH_ARGS),$(BENCH_ARGS),--filter linear)

# In turns, three times each, on a tree that is made once.
bench-scoring: setup
	swift build -c release --product concept-attention
	@Benchmarks/peers/score_maps.sh $(PEER_PYTHON) .build/release/concept-attention

peer-check:
	@$(PEER_PYTHON) -c 'import torch, numpy, safetensors' 2>/dev/null || { \
	  echo "PyTorch was not found by PEER_PYTHON=$(PEER_PYTHON). To make an environment for it (some GB, less with PyTorch's CPU build installed first):" >&2; \
	  echo "  python3 -m venv peer-venv" >&2; \
	  echo "  peer-venv/bin/pip install -r Benchmarks/peers/requirements.txt" >&2; \
	  echo "  make bench-peers PEER_PYTHON=peer-venv/bin/python" >&2; \
	  exit 1; }

docs: setup
	@Tools/docs.sh

format: setup
	swift format format --in-place --parallel --recursive $(swift_files)

lint: setup
	swift format lint --strict --parallel --recursive $(swift_files)

clean:
	rm -rf .build Benchmarks/.build docs-build
