"""SCTrans (Lin et al., IJCAI 2024): Tables 2 and 3, Figures 3 to 10."""

from __future__ import annotations

from functools import partial

from cytonym.reproduce import divide
from cytonym.reproduce.measures import completion, naming, selection
from cytonym.reproduce.record import Experiment, Published, Way, published

DATA = ("zheng68k", "baron", "muraro", "xin", "segerstolpe", "macparland", "lung")
PAPER = {"preset": "paper"}
ONE_SCALE = {"scales": (1,), "heads": 6}
"""As many heads as three scales of two."""

WAYS = (Way("sctrans", "sctrans"), Way("sctrans, paper", "sctrans", PAPER))
BASELINE = Way("linear", "linear")
BOTH = ("accuracy", "macro_f1")

TABLE_2 = """
scNym           .700/.627  .983/.805  .960/.801  .906/.550  .833/.648  .974/.957  .925/.875
SciBet          .679/.667  .975/.864  .964/.819  .984/.795  .789/.728  .971/.957  .909/.847
Seurat          .686/.581  .980/.833  .964/.858  .959/.594  .846/.652  .979/.965  .901/.833
SingleR         .326/.550  .969/.878  .965/.877  .977/.809  .672/.692  .951/.933  .870/.781
CellID_cell     .566/.509  .957/.857  .958/.904  .901/.520  .829/.724  .946/.924  .950/.911
CellID_group    .539/.567  .936/.815  .943/.816  .870/.528  .743/.672  .882/.908  .879/.837
scmap_cell      .291/.212  .844/.398  .801/.382  .822/.281  .499/.266  .826/.421  .574/.287
scmap_cluster   .463/.482  .912/.826  .901/.758  .956/.780  .600/.619  .931/.899  .893/.717
scBERT          .759/.691  .977/.849  .976/.932  .980/.793  .892/.759  .976/.959  .957/.914
SCTrans         .817/.717  .980/.881  .986/.984  .995/.946  .977/.826  .981/.966  .965/.921
"""
TABLE_3 = """
w/o multi-scale attention  .772/.668  .926/.851  .943/.907
w/o contrast               .801/.708  .971/.961  .959/.914
SCTrans                    .817/.717  .981/.966  .965/.921
"""
SPLIT = "One stratified 80/20 split a seed; the paper reports one split and names no seed."
F1 = "The paper does not say which F1; ours is macro-F1 over the types of the query."


MARKERS = {
    "CD19+ B": "CD79A CD79B MS4A1 CD19 CD22 BANK1 BLK PAX5 FCRLA TCL1A VPREB3",
    "CD56+ NK": "NKG7 GNLY KLRD1 KLRF1 KLRC1 NCAM1 FCGR3A GZMB PRF1 CST7 XCL1 XCL2 FGFBP2 SPON2",
    "CD14+ Monocyte": "CD14 LYZ S100A8 S100A9 S100A12 FCN1 VCAN CST3 CD68 MS4A6A",
    "CD34+": "CD34 SPINK2 CYTL1 EGFL7 KIT PROM1 GATA2 SOX4 CRHBP AVP PRSS57",
    "CD4+/CD25 T Reg": "FOXP3 IL2RA CTLA4 IKZF2 TIGIT RTKN2 TNFRSF4 TNFRSF18 CCR4",
    "CD4+/CD45RA+/CD25- Naive T": "CCR7 SELL LEF1 TCF7 IL7R MAL LRRN3 NELL2 ACTN1 PIK3IP1",
}
"""Genes in common use to tell the types of Zheng68K; ``--markers`` gives others."""

_new = partial(Experiment, paper="SCTrans (Lin et al., IJCAI 2024)", reads=("rna",))

EXPERIMENTS = (
    _new(
        name="sctrans-table-2",
        shows="Table 2",
        what="accuracy and F1 on seven data sets",
        data=DATA,
        divide=divide.holdout(),
        measure=naming.naming,
        ways=(*WAYS, BASELINE),
        figures=(*BOTH, "balanced_accuracy", "weighted_f1"),
        published=published(TABLE_2, DATA, BOTH, "Table 2"),
        notes=(SPLIT, F1),
    ),
    _new(
        name="sctrans-table-3",
        shows="Table 3",
        what="without multi-scale attention, without contrast",
        data=("zheng68k", "macparland", "lung"),
        divide=divide.holdout(),
        measure=naming.naming,
        ways=(
            WAYS[1],
            Way("sctrans, paper, one scale", "sctrans", {**PAPER, **ONE_SCALE}),
            Way("sctrans, paper, no contrast", "sctrans", {**PAPER, "contrast": 0.0}),
            WAYS[0],
            Way("sctrans, one scale", "sctrans", {"scales": (1,), "heads": 4}),
            Way("sctrans, no contrast", "sctrans", {"contrast": 0.0}),
        ),
        figures=BOTH,
        published=published(TABLE_3, ("zheng68k", "macparland", "lung"), BOTH, "Table 3"),
        notes=(SPLIT, F1, "One scale has as many attention heads as all scales together."),
    ),
    _new(
        name="sctrans-figure-3",
        shows="Figure 3",
        what="confusion matrix on Zheng68K",
        data=("zheng68k",),
        divide=divide.holdout(),
        measure=naming.confusion,
        ways=WAYS,
        figures=("cells",),
        by=("known", "predicted"),
        seeds=(0,),
        plot="confusion",
        notes=("The paper shows no numbers in its text.",),
    ),
    _new(
        name="sctrans-figure-4",
        shows="Figure 4",
        what="share of the cells that teach, 10 to 90 %",
        data=("zheng68k",),
        divide=divide.ratios(0.1, 0.3, 0.5, 0.7, 0.9),
        measure=naming.naming,
        ways=(*WAYS, BASELINE),
        figures=BOTH,
        by=("share",),
        plot="share",
        notes=("The paper shows no numbers in its text.",),
    ),
    _new(
        name="sctrans-figure-5",
        shows="Figure 5",
        what="four types with 100, 10,000, 100 and 10,000 training cells",
        data=("zheng68k",),
        divide=divide.uneven(
            {
                "CD19+ B": 100,
                "CD8+ Cytotoxic T": 10_000,
                "CD34+": 100,
                "CD8+/CD45RA+ Naive Cytotoxic": 10_000,
            },
            test=100,
        ),
        measure=naming.by_type,
        ways=(*WAYS, BASELINE),
        figures=("recall", "f1", "train", "test"),
        by=("type",),
        notes=(
            "The paper speaks of 100 cells as test; here 100 cells of each type, none of which "
            "taught. With fewer cells all training numbers shrink by one factor.",
        ),
    ),
    _new(
        name="sctrans-figure-6",
        shows="Figure 6",
        what="pancreas: three data sets name the fourth, against a split within it",
        data=("baron", "muraro", "segerstolpe", "xin"),
        divide=divide.across(("alpha", "beta", "delta", "gamma")),
        measure=naming.naming,
        ways=(*WAYS, BASELINE),
        figures=BOTH,
        by=("taught by",),
        together=True,
        all_needed=True,
        notes=("On the genes that the four share. The paper shows no numbers in its text.",),
    ),
    _new(
        name="sctrans-figure-7",
        shows="Figure 7",
        what="names from a share of the sub-vectors: salient ones, or as many at random",
        data=("zheng68k",),
        divide=divide.holdout(),
        measure=selection.selection,
        ways=(
            Way("sctrans", "sctrans", {"sub_vector": 128, "keep": min(selection.KEPT)}),
            Way("sctrans, paper", "sctrans", PAPER),
        ),
        figures=BOTH,
        by=("kept", "by"),
        seeds=(0,),
        plot="kept",
        notes=(
            "Random removal is under our own model; the paper's control is scBERT. Sub-vectors of "
            "128 genes, and a model that learned to name from a tenth of them (keep=0.1).",
        ),
    ),
    _new(
        name="sctrans-figure-8",
        shows="Figure 8",
        what="salient sub-vectors that hold a known marker of the type",
        data=("zheng68k",),
        divide=divide.holdout(),
        measure=selection.markers,
        ways=(Way("sctrans", "sctrans", {"sub_vector": 128}), WAYS[1]),
        figures=("hit_ratio", "by_chance", "markers"),
        by=("type",),
        seeds=(0,),
        published=(
            Published("zheng68k", "best of 7 types", {"hit_ratio": 0.67}, "Figure 8, text"),
            Published("zheng68k", "worst of 7 types", {"hit_ratio": 0.14}, "Figure 8, text"),
        ),
        markers={kind: tuple(genes.split()) for kind, genes in MARKERS.items()},
        notes=("The paper's lists of markers are not known: these are genes in common use.",),
    ),
    _new(
        name="sctrans-figure-9",
        shows="Figure 9",
        what="clusters of the embedding against those of the expression, Segerstolpe",
        data=("segerstolpe",),
        divide=divide.holdout(),
        measure=naming.clusters,
        ways=WAYS,
        figures=("ari", "nmi", "purity"),
        by=("space", "clusters by"),
        notes=("On the query alone, so that the labels of its cells taught nothing.",),
    ),
    _new(
        name="sctrans-figure-10",
        shows="Figure 10",
        what="error of completion by epoch, several scales against one",
        data=("zheng68k", "macparland"),
        divide=divide.holdout(),
        measure=completion.completion,
        ways=(
            WAYS[1],
            Way("sctrans, paper, one scale", "sctrans", {**PAPER, **ONE_SCALE}),
        ),
        figures=("error",),
        by=("epoch",),
        seeds=(0,),
        plot="epoch",
        notes=("Of the default sub-vector of the preset; the paper shows no numbers.",),
    ),
)  # fmt: skip
