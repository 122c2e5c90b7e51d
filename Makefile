# make test: everything that CI checks, on a plain Debian or Ubuntu with Rust.
.PHONY: test tools packages demo bench install


SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PREFIX ?= $(HOME)/.local

test: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo nextest run --workspace

tools: packages
	@cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked

# Installs only what is missing; the package list is read once, and only then.
packages:
	@missing=; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	command -v gdb >/dev/null || missing="$$missing gdb"; \
	if [ -n "$$missing" ]; then \
		$(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $$missing; \
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
