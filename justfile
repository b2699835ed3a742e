# `just` lists what there is.
default:
    @just --list

# The sample documents, answered with and without the cache; then the chat
demo:
    cargo run --release -- demo

test *args:
    cargo test {{ args }}

# What CI runs
ci:
    .ci/run

fmt:
    cargo fmt

lint:
    cargo clippy --all-targets -- -D warnings

# The documentation of the code, in a browser
doc:
    cargo doc --no-deps --open

# Look at changed snapshots (needs cargo-insta)
review:
    cargo insta review

# Licences, advisories and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny check
