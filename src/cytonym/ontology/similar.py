"""Terms whose names look like a label: proposals for a person, never used without one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cytonym.ontology.spelling import LONGEST, completed, words
from cytonym.ontology.terms import cell_ontology

SPECIES = ("(Mmus)", "(Homo sapiens)", "(Primate)")
"""Terms of one species' atlas, whose names are numbers and genes: not proposed."""


def similar(labels: Sequence[str], *, n: int = 4) -> list[list[tuple[str, float]]]:
    """For each label up to ``n`` term ids with a score in [0, 1], the best first.

    The score is the cosine of the counts of 2 to 4 neighbouring characters, rare ones weigh more.
    """
    if not labels:
        return []
    vectors, matrix, ids = _spelled()
    text = [" ".join(completed(words(label))) for label in labels]
    scores = (vectors.transform(text) @ matrix.T).tocsr()
    found = []
    for row in range(len(labels)):
        part = scores[row]
        best: dict[str, float] = {}
        for place in np.lexsort((part.indices, -part.data)):
            term = ids[part.indices[place]]
            best.setdefault(term, round(float(part.data[place]), 3))
            if len(best) == n:
                break
        found.append([*best.items()])
    return found


@lru_cache(maxsize=1)
def _spelled() -> tuple[Any, Any, list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

    terms = cell_ontology()
    pairs = [
        (word, i)
        for i, name in terms.names.items()
        if not name.endswith(SPECIES)
        for word in (name, *terms.synonyms[i])
        if len(word) <= LONGEST
    ]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
    matrix = vectors.fit_transform([" ".join(completed(words(word))) for word, _ in pairs])
    return vectors, matrix, [i for _, i in pairs]
