#!/usr/bin/env python3
"""Indexes a large folder, and says how fast: 100,000 files with 1 GB of text, and what a search takes then.

    cargo build --release && python3 benches/large_tree.py [--files 100000] [--bytes 1000000000] [--runs 3]

makes the folder (words as frequent as in English, 60,000 different ones, headings, paragraphs), indexes it
without encoding (`gibbon index --no-encode`) into a data directory of its own, then again with nothing changed, and searches it
(`cargo bench --bench search -- --data DIR`). Prints a line of JSON for each. Needs three times the text's size of disk space, twice while it
runs; everything is removed at the end unless --keep names a folder for it.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import pydoc_data.topics
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta", "ve", "wi",
             "xo", "ya", "zen", "bri", "cla", "dro", "fle", "gri", "pla", "sto", "tre", "ous", "ing", "ed", "ment", "er"]
# One word in so many is a name or a rare one; as in an encyclopedia, where the 3,000 most frequent words are five of six.
RARE_SHARE = 0.15


def vocabulary(size: int, chance: random.Random) -> tuple[list[str], list[float]]:
    """Words with how often each comes: those of Python's own manual, and names and rare words, which are made up."""
    manual = collections.Counter(re.findall("[A-Za-z]+", " ".join(pydoc_data.topics.topics.values())))
    made_up = dict.fromkeys(manual, 0)
    while len(made_up) < size:
        made_up["".join(chance.choice(SYLLABLES) for _ in range(chance.randint(2, 4)))] = 0
    rare = list(made_up)[len(manual):]
    # Zipf's law, for the words as for the manual's.
    zipf = [1 / (rank + 300) for rank in range(len(rare))]
    share = RARE_SHARE / (1 - RARE_SHARE) * manual.total() / sum(zipf)
    return [*manual, *rare], [*manual.values(), *(weight * share for weight in zipf)]


def sentences(chance: random.Random, words: list[str], weights: list[float], count: int) -> list[str]:
    """A stock of sentences whose words follow Zipf's law; files are made of them, which is quicker than word by word."""
    stock = []
    for _ in range(count):
        chosen = chance.choices(words, cum_weights=weights, k=chance.randint(6, 24))
        stock.append(" ".join(chosen).capitalize() + ".")
    return stock


def make_tree(folder: pathlib.Path, files: int, total: int) -> int:
    chance = random.Random(1)
    words, weights = vocabulary(60_000, chance)
    stock = sentences(chance, words, list(itertools.accumulate(weights)), 200_000)
    written, mean = 0, total / files
    for number in range(files):
        place = folder / f"{number % 97:02}" / f"{number // 97 % 31:02}"
        if number < 97 * 31:
            place.mkdir(parents=True, exist_ok=True)
        # As the sizes of people's files: many small ones, few large.
        size = min(int(chance.lognormvariate(0, 0.9) * mean / 1.5), 2_000_000)
        parts, length = [f"# {chance.choice(words)} {number}\n"], 0
        while length < size:
            paragraph = " ".join(chance.choices(stock, k=6)) + f" It was {chance.randint(1, 9999)} then.\n"
            if chance.random() < 0.15:
                paragraph = f"\n## {chance.choice(words).capitalize()}\n\n" + paragraph
            parts.append(paragraph)
            length += len(paragraph)
        text = "\n".join(parts)
        (place / f"note{number:06}.md").write_text(text)
        written += len(text)
    return written


def run(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Seconds, and bytes of memory at the peak."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def report(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--runs", type=int, default=1, help="of indexing from nothing")
    parser.add_argument("--program", default="target/release/gibbon")
    parser.add_argument("--keep", type=pathlib.Path, help="leave folder and index here, and use what is here")
    options = parser.parse_args()

    base = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="gibbon-large-"))
    tree, home = base / "tree", base / "home"
    if not tree.exists():
        tree.mkdir(parents=True)
        report(step="made", files=options.files, bytes=make_tree(tree, options.files, options.bytes))
    total = sum(entry.stat().st_size for entry in tree.rglob("*.md"))
    environment = {**os.environ, "GIBBON_HOME": str(home)}
    index = [options.program, "index", "--no-encode", "--quiet"]
    for number in range(options.runs):
        shutil.rmtree(home, ignore_errors=True)
        seconds, memory = run([*index, str(tree)], environment)
        report(step="indexed", run=number + 1, bytes=total, seconds=round(seconds, 1),
               megabytes_per_second=round(total / 1e6 / seconds, 1), peak_megabytes=round(memory / 1e6))
    for number in range(3):
        seconds, memory = run(index, environment)
        report(step="nothing changed", run=number + 1, seconds=round(seconds, 1), peak_megabytes=round(memory / 1e6))
    subprocess.run(["cargo", "bench", "--quiet", "--bench", "search", "--", "--data", str(home / "data")], check=True)
    if not options.keep:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
