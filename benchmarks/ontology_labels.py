"""Cell Ontology terms of the labels of all data sets in a folder, against terms chosen by hand.

``python benchmarks/ontology_labels.py --data DIR``

``ontology_labels.tsv`` beside this file holds what a person chose: label, ids (the first is the
finest; "" = the ontology has none), why. A term above the one chosen is *wider*: it says less.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from cytonym.data.labels import check_labels
from cytonym.data.read import read_obs
from cytonym.ontology import Match, map_labels
from cytonym.ontology.terms import cell_ontology
from cytonym.view.text import table

COLUMNS = ("cell_type", "coarse_type", "cell_type_broad", "subtype")
VERDICTS = ("right", "wider", "wrong", "unsure", "none")


def by_hand() -> dict[str, list[str]]:
    """Label to the ids that a person holds for right."""
    path = Path(__file__).with_suffix(".tsv")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {row["label"]: row["ids"].split("|") if row["ids"] else [] for row in rows}


def verdict(match: Match, chosen: list[str]) -> str:
    """What became of a label."""
    if not match.sure:
        return "unsure" if match.how == "unsure" else "none"
    if match.id in chosen:
        return "right"
    terms = cell_ontology()
    return "wider" if any(terms.above(match.id, one) for one in chosen) else "wrong"


def main() -> None:
    """Print the table of each data set, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    chosen, sums, lacking = by_hand(), [], set()
    proposed: Counter[str] = Counter()
    for path in sorted(args.data.glob("*/*.h5*")):
        obs = read_obs(path)
        for column in [name for name in COLUMNS if name in obs]:
            labels = check_labels(obs, column)[0]
            matches = map_labels(labels.names).matches
            lacking |= {one.label for one in matches} - set(chosen)
            found = [verdict(one, chosen.get(one.label, [])) for one in matches]
            rows = [
                (one.label, one.id or "-", one.name or "-", one.how, said)
                for one, said in zip(matches, found, strict=True)
            ]
            print(f"\n### {path.stem}, {column}\n")
            print(table(("label", "term", "name", "how", "by hand"), rows))
            count = Counter(found)
            sums.append((path.stem, column, len(found), *(count[name] for name in VERDICTS)))
            for one, said in zip(matches, found, strict=True):
                if said == "unsure":
                    right = {near.id for near in one.candidates} & set(chosen.get(one.label, []))
                    proposed["right term proposed" if right else "not proposed"] += 1
    print("\n### Sums\n")
    heads = ("data set", "column", "labels", *VERDICTS)
    whole = [sum(row[place] for row in sums) for place in range(2, len(heads))]
    print(table(heads, [*sums, ("all", "", *whole)]))
    print(f"\nOf the unsure: {dict(proposed)}")
    if lacking:
        print(f"\nNot judged by hand, counted as wrong if matched: {sorted(lacking)}")


if __name__ == "__main__":
    main()
