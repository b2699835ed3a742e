#!/usr/bin/env python3
"""Says how often the search finds the passages that answer a question.

    cargo build --release && python3 benches/retrieval.py SET.jsonl...

Each line of a set is {"question": ..., "contexts": [{"title": ..., "text": ..., "gold": true or false}, ...]}, as one gets from
Natural Questions, XQuAD, HotpotQA or 2WikiMultihopQA. All passages of a set are in one index; a line of JSON for each set says
which share of the right passages is among the first eight chunks, and the mean reciprocal rank of the first right one.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

FOUND = 8


def name(passage: dict) -> str:
    return hashlib.sha256((passage["title"] + passage["text"]).encode()).hexdigest()[:16]


def measure(path: pathlib.Path, program: str) -> dict:
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    with tempfile.TemporaryDirectory(prefix="gibbon-retrieval-") as base:
        folder = pathlib.Path(base) / "passages"
        folder.mkdir()
        for passage in (passage for row in rows for passage in row["contexts"]):
            (folder / f"{name(passage)}.md").write_text(f"# {passage['title']}\n\n{passage['text']}\n")
        environment = {**os.environ, "GIBBON_HOME": str(pathlib.Path(base) / "home")}
        index = [program, "index", "--no-encode", "--quiet", str(folder)]
        subprocess.run(index, env=environment, check=True, stdout=subprocess.DEVNULL)

        def ask(row: dict) -> tuple[float, float]:
            search = [program, "search", row["question"], "--json", "-k", str(FOUND)]
            answer = subprocess.run(search, env=environment, capture_output=True, text=True, check=True)
            found = [pathlib.Path(chunk["path"]).stem for chunk in json.loads(answer.stdout)["chunks"]]
            right = {name(passage) for passage in row["contexts"] if passage["gold"]}
            ranks = [found.index(passage) + 1 for passage in right if passage in found]
            return len(ranks) / max(len(right), 1), max((1 / rank for rank in ranks), default=0.0)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            scores = list(pool.map(ask, rows))
    recall, reciprocal = (round(sum(values) / len(rows), 4) for values in zip(*scores))
    return {"set": path.stem, "questions": len(rows), f"recall_at_{FOUND}": recall, "mean_reciprocal_rank": reciprocal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=pathlib.Path, metavar="SET.jsonl")
    parser.add_argument("--program", default="target/release/gibbon")
    options = parser.parse_args()
    for path in options.sets:
        print(json.dumps(measure(path, options.program)), flush=True)


if __name__ == "__main__":
    main()
