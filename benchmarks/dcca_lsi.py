"""Names of cells with ATAC alone, by scikit-learn on three kinds of LSI: what dcca has to beat.

    python benchmarks/dcca_lsi.py --data DIR --out FOLDER

SNARE-seq mouse cortex, six libraries teach, two are named, four folds. Prints means over the folds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import common
import snare
from cytonym.evaluate import scores
from dcca_clusters import lsi

CLASSIFIERS = {
    "logistic regression": lambda: LogisticRegression(max_iter=2000),
    "logistic regression, balanced": lambda: LogisticRegression(
        max_iter=2000, class_weight="balanced"
    ),
    "15 neighbours": lambda: KNeighborsClassifier(15),
    "SVM": lambda: SVC(),
}


def main() -> None:
    """Every kind of LSI, every classifier, every fold."""
    args = common.start(common.arguments(__doc__))
    rows = []
    for fold, reference, query in snare.folds(snare.read(args)):
        known, truth = (
            one["rna"].obs[common.LABEL].to_numpy().astype(str) for one in (reference, query)
        )
        for weights in ("plain", "unit", "log"):
            learn, ask = (lsi(reference, one, weights)["atac"] for one in (reference, query))
            scale = StandardScaler().fit(learn)
            for name, make in CLASSIFIERS.items():
                model = make().fit(scale.transform(learn), known)
                found = scores(truth, np.asarray(model.predict(scale.transform(ask)), str))
                row = {"lsi": weights, "method": name, "fold": fold}
                rows.append(row | {"accuracy": found.accuracy, "macro_f1": found.macro_f1})
    mean = pd.DataFrame(rows).groupby(["lsi", "method"])[["accuracy", "macro_f1"]].mean()
    text = ["Means over four folds of libraries, ATAC alone.", mean.reset_index()]
    common.write(args, "dcca_lsi", "Names by scikit-learn on LSI", text)


if __name__ == "__main__":
    main()
