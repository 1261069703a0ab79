import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import cytonym
from cytonym.data.simulate import simulate


def logged(cells) -> np.ndarray:
    counts = cells.X.toarray()
    return np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)


@pytest.mark.parametrize("penalty", [1.0, 30.0])
def test_probabilities_equal_sklearn_s_logistic_regression_to_a_hundredth(penalty):
    cells = simulate(320, 120, 4, seed=2, markers_per_type=10, fold=2.5, depth=400)
    reference, query = cells[:240].copy(), cells[240:].copy()
    model = cytonym.fit(
        reference,
        labels="cell_type",
        method="linear",
        options={"genes": None, "penalty": penalty},
        validation=0.0,
        progress=False,
    )
    ours = model.annotate(query, progress=False).probabilities
    mean = logged(reference).mean(0)
    theirs = LogisticRegression(C=1 / penalty, max_iter=2000, tol=1e-8)
    theirs.fit(logged(reference) - mean, reference.obs["cell_type"].astype(str))
    wanted = theirs.predict_proba(logged(query) - mean)
    assert [*ours.columns] == [*theirs.classes_]
    np.testing.assert_allclose(ours, wanted, atol=1e-2)
    assert 0.3 < wanted.max(1).mean() < 0.99  # neither all sure nor all at a loss


def test_balanced_weights_equal_sklearn_s_class_weight_and_find_more_of_the_small_type():
    cells = simulate(420, 60, 3, seed=3, markers_per_type=6, fold=1.6, depth=150)
    kind = cells.obs["cell_type"].cat.codes.to_numpy()
    kept = np.flatnonzero((kind != 2) | (np.arange(420) % 10 == 0) | (np.arange(420) >= 300))
    few = cells[kept[kept < 300]].copy()
    query = cells[300:].copy()
    fixed = {"labels": "cell_type", "method": "linear", "validation": 0.0, "progress": False}
    found = {}
    for how in ("none", "weights", "logits"):
        model = cytonym.fit(few, options={"genes": None, "balance": how}, **fixed)
        found[how] = model.annotate(query, progress=False)
    mean = logged(few).mean(0)
    theirs = LogisticRegression(class_weight="balanced", max_iter=2000, tol=1e-8)
    theirs.fit(logged(few) - mean, few.obs["cell_type"].astype(str))
    wanted = theirs.predict_proba(logged(query) - mean)
    np.testing.assert_allclose(found["weights"].probabilities, wanted, atol=1e-2)
    small = query.obs["cell_type"].to_numpy() == "type C"
    recall = {how: (calls.labels[small] == "type C").mean() for how, calls in found.items()}
    assert recall["weights"] > recall["none"] + 0.05
    assert recall["logits"] > recall["none"] + 0.05
