# `just` lists what there is.
default:
    @just --list

# The sample documents, answered with and without the cache; then the chat
demo:
    cargo run --release -- demo

test *args:
    cargo test {{ args }}

# How soon the screen answers keys, with the default model
bench-screen:
    cargo bench --bench screen

# The longest frame of very long conversations
bench-scroll:
    cargo bench --bench scroll

# How fast cache files are written and read, beside `dd` on the same disk
bench-store *args:
    cargo bench --bench store -- {{ args }}

# What an NVIDIA GPU reaches with the shape of an 8B model
bench-gpu *args:
    cargo run --release --features cuda -- bench gpu {{ args }}

# The GPU's kernels, one by one
bench-kernels:
    cargo bench --features cuda --bench gpu

# Indexing and searching 100,000 files, 1 GB of text
bench-tree *args:
    cargo build --release
    python3 benches/large_tree.py {{ args }}

# Killed at random moments, so many times, while files change
test-kill rounds="200":
    GIBBON_KILL_ROUNDS={{ rounds }} GIBBON_KILL_QUESTIONS=100 cargo test --test gibbon rounds -- --nocapture

# Hostile input for every reader and loader, for so many seconds each
fuzz seconds="600" target="":
    GIBBON_FUZZ_SECONDS={{ seconds }} cargo test --test gibbon fuzz::{{ target }} -- --nocapture

# A disk that is full at every point of a run (mounts a file system: root on Linux)
test-full-disk:
    cargo test --test gibbon full_disk -- --ignored --nocapture

# The tests that need an NVIDIA GPU
test-gpu *args:
    cargo test --features cuda --test gibbon -- --ignored cuda:: --test-threads=1 {{ args }}

# Draw the pictures of screenshots/ anew
screenshots:
    cargo run --release -- screenshots

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
