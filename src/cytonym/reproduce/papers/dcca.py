"""DCCA (Zuo et al., Bioinformatics 2021): embeddings, denoising and networks, generation."""

from __future__ import annotations

from functools import partial

from cytonym.reproduce import divide
from cytonym.reproduce.measures import coupled
from cytonym.reproduce.record import Experiment, Published, Way

PAPER = {"preset": "paper"}
WAYS = (Way("dcca", "dcca"), Way("dcca, paper", "dcca", PAPER))
SETS = ("snare-celllines", "pbmc-multiome-3k", "share-skin")
FIGURES_ONLY = "The paper gives figures without numbers."

_new = partial(
    Experiment, paper="DCCA (Zuo et al., Bioinformatics 2021)", ways=WAYS, reads=("rna", "atac")
)

EXPERIMENTS = (
    _new(
        name="dcca-embedding",
        shows="experiment 1: embeddings",
        what="NMI and ARI of clusters of the joint embedding and of each modality's own",
        data=SETS,
        divide=divide.whole,
        measure=coupled.views,
        ways=(
            *WAYS,
            Way("dcca, one way", "dcca", {"cycle": 1}),
            Way("dcca, no transfer", "dcca", {"cycle": 0}),
        ),
        figures=("nmi", "ari", "purity"),
        by=("view", "clusters by"),
        notes=(FIGURES_ONLY, "A tenth of the cells says when to stop; all are embedded."),
    ),
    _new(
        name="dcca-denoising",
        shows="experiment 2: denoising",
        what="agreement of RNA and ATAC of the same cells, before and after",
        data=SETS,
        divide=divide.folds(5),
        measure=coupled.consistency,
        figures=("kappa", "own_peaks", "random_peaks", "pairs"),
        by=("values",),
        needs=("genes",),
        seeds=(0,),
        notes=(FIGURES_ONLY, "The definitions of consistency are ours: the paper gives none."),
    ),
    _new(
        name="dcca-network",
        shows="experiment 2: factors and genes",
        what="networks of each type, and known edges in them",
        data=SETS,
        divide=divide.whole,
        measure=coupled.edges,
        figures=("edges", "factors", "genes", "r2", "odds_ratio"),
        by=("type",),
        needs=("genome", "genes"),
        seeds=(0,),
        notes=(FIGURES_ONLY, "Known edges are those of --known; the paper takes hTFtarget."),
    ),
    _new(
        name="dcca-activity",
        shows="experiment 2: activity of motifs",
        what="the type in which each motif is most active",
        data=("snare-celllines",),
        divide=divide.whole,
        measure=coupled.activity,
        figures=("z",),
        by=("motif", "type"),
        needs=("genome",),
        seeds=(0,),
        notes=("The paper says JUN in BJ and GATA2 in K562, without numbers.",),
    ),
    _new(
        name="dcca-generation",
        shows="experiment 3: five-fold cross-validation of generation",
        what="each modality from the other one alone",
        data=(*SETS, "scnmt-gastrulation"),
        reads=(),
        divide=divide.folds(5),
        measure=coupled.generation,
        figures=("type", "contrast", "cell", "feature", "cell_auroc", "feature_auroc"),
        by=("direction", "by"),
        seeds=(0,),
        published=(
            Published("several", "DCCA, RNA to ATAC, lowest", {"type": 0.90}, "summary, text"),
            Published("several", "DCCA, RNA to ATAC, highest", {"type": 0.98}, "summary, text"),
        ),
        notes=(
            "Published: Pearson's r of .9 to .98, by what averages is not said; our column type is "
            "r of mean profiles of types, contrast is without what all types share.",
        ),
    ),
    _new(
        name="dcca-missing",
        shows="experiment 3: a stage without methylation",
        what="modality made for a batch (stage) in which it was hidden",
        data=("scnmt-gastrulation",),
        reads=(),
        divide=divide.one_hidden,
        measure=coupled.generation,
        figures=("type", "contrast", "cell", "feature"),
        by=("generated for", "direction", "by"),
        seeds=(0,),
        notes=(
            "The paper makes methylation of E5.5, which was not measured, so that nothing can be "
            "scored; here each stage in turn is hidden and scored.",
        ),
    ),
)
