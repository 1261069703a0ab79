"""scMoAnno (2025): four data sets, rare types, clusters, a missing modality, ablations.

The paper's numbers are in no source that is open to us; nothing is printed beside ours.
"""

from __future__ import annotations

from functools import partial

from cytonym.reproduce import divide
from cytonym.reproduce.measures import naming
from cytonym.reproduce.record import Experiment, Way

DATA = ("scmoanno-10x", "scmoanno-issaac", "scmoanno-share", "scmoanno-bmmc")
PAPER = {"preset": "paper"}
WAYS = (Way("scmoanno", "scmoanno"), Way("scmoanno, paper", "scmoanno", PAPER))
RNA = Way("linear on RNA", "linear")
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
SPLIT = "Stratified 80/20, as in the published scripts; transforms are fitted on the 80 %."

_new = partial(
    Experiment,
    paper="scMoAnno (ZhangLab312, 2025)",
    data=DATA,
    reads=("rna", "atac"),
    divide=divide.holdout(),
    ways=WAYS,
)

EXPERIMENTS = (
    _new(
        name="scmoanno-accuracy",
        shows="the comparison on four data sets",
        what="accuracy and balanced accuracy",
        measure=naming.naming,
        ways=(*WAYS, RNA),
        figures=(*FIGURES, "weights"),
        notes=(SPLIT,),
    ),
    _new(
        name="scmoanno-rare",
        shows="rare types",
        what="recall and F1 of types with few cells",
        measure=naming.rare,
        ways=(
            *WAYS,
            Way("scmoanno, balance=none", "scmoanno", {"balance": "none"}),
            Way("scmoanno, balance=logits", "scmoanno", {"balance": "logits"}),
            RNA,
        ),
        figures=("recall", "f1", "n_types"),
        by=("types",),
        notes=("Rare: fewer than 50 training cells, or than 1 % of them. " + SPLIT,),
    ),
    _new(
        name="scmoanno-few",
        shows="rare types, one cut down",
        what="recall and F1 of a type of which 10, 20 or 50 cells teach",
        divide=divide.cut_type(10, 20, 50),
        measure=naming.of_cut_type,
        ways=(*WAYS, RNA),
        figures=("recall", "f1"),
        by=("cut", "cells"),
        plot="cells",
        notes=("The smallest type of which 50 cells can teach is cut.",),
    ),
    _new(
        name="scmoanno-clusters",
        shows="clusters",
        what="NMI, ARI and purity of clusters of the embedding",
        measure=naming.clusters,
        figures=("nmi", "ari", "purity"),
        by=("space", "clusters by"),
        notes=("On the query, whose labels taught nothing. " + SPLIT,),
    ),
    _new(
        name="scmoanno-missing",
        shows="a missing modality",
        what="one model, asked with both modalities and with each alone",
        measure=naming.missing,
        ways=(*WAYS, Way("scmoanno, no modality dropout", "scmoanno", {"modality_dropout": 0.0})),
        figures=FIGURES,
        by=("asked with",),
        notes=(
            "A single modality goes through its own branch; in the published code it goes through "
            "both, which gives ATAC the weights of RNA.",
        ),
    ),
    _new(
        name="scmoanno-ablations",
        shows="the ablations",
        what="cross-attention, self-attention and direct fusion",
        measure=naming.naming,
        ways=(
            WAYS[0],
            Way("scmoanno, fusion=self", "scmoanno", {"fusion": "self"}),
            Way("scmoanno, fusion=direct", "scmoanno", {"fusion": "direct"}),
            WAYS[1],
            Way("scmoanno, paper, fusion=self", "scmoanno", {**PAPER, "fusion": "self"}),
            Way("scmoanno, paper, fusion=direct", "scmoanno", {**PAPER, "fusion": "direct"}),
        ),
        figures=FIGURES,
        notes=(SPLIT,),
    ),
)
