# make test: everything that CI checks, on a plain Debian or Ubuntu with Rust.
.PHONY: test test-all tools packages demo bench install


SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PREFIX ?= $(HOME)/.local

test: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	PATH="$$PATH:$(CURDIR)/target/packages/bin" cargo nextest run --workspace

# With what only a few machines have, and every program on every Python: about an hour.
test-all: tools
	tests/further
	PATH="$$PATH:$(CURDIR)/target/packages/bin" cargo nextest run --workspace
	FRED_TEST_ALL=1 cargo test -p fred-checkpointer --test live_replayed more_programs
	FRED_TEST_ALL=1 cargo test --test pdb_agent --test oracle_pdb

tools: packages
	tests/lldb-19
	@cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked

# Installs only what is missing; the package list is read once, and only then. Debian 12's lldb is 14, whose Python does not load. gdbserver is
# what the tests compare ours with.
packages:
	@missing=; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	command -v gdb >/dev/null || missing="$$missing gdb"; \
	command -v gdbserver >/dev/null || missing="$$missing gdbserver"; \
	for folder in $$(echo "$$PATH" | tr : ' '); do ls "$$folder"/lldb "$$folder"/lldb-[0-9]*; done 2>/dev/null | grep -q . || lldb=lldb; \
	if [ -n "$$missing$$lldb" ]; then \
		$(SUDO) apt-get update -q; \
		if [ -n "$$lldb" ] && apt-cache show lldb-16 >/dev/null 2>&1; then lldb=lldb-16; fi; \
		$(SUDO) apt-get install -y -q --no-install-recommends $$missing $$lldb; \
	fi

demo: packages
	cargo build --release
	target/release/fred demo
	@echo "(target/release/fred demo gdb plays one with gdb and a C program)"

bench:
	benches/run

install:
	cargo build --release
	install -D -m 755 target/release/fred $(DESTDIR)$(PREFIX)/bin/fred
