"""seqAlignATAC (Bioinformatics 2025, btaf682): Tables 1 and 2, and the ablations."""

from __future__ import annotations

from functools import partial

from cytonym.reproduce import divide
from cytonym.reproduce.measures import naming
from cytonym.reproduce.record import Experiment, Published, Way, published

MOS = ("MosA1", "MosP1", "MosM1")
BOTH = ("accuracy", "macro_f1")
TABLE_1 = """
SANGO           .651/.587  .696/.298  .707/.608  .606/.294  .587/.539  .645/.295
scNym           .682/.584  .747/.311  .694/.599  .664/.293  .680/.599  .690/.296
scJoint         .645/.568  .757/.340  .557/.524  .708/.349  .664/.592  .748/.355
Cellcano        .642/.539  .534/.304  .641/.535  .469/.295  .641/.529  .451/.293
seqAlignATAC    .701/.578  .824/.582  .713/.618  .729/.373  .803/.697  .759/.380
"""
TABLE_2 = """
SANGO           .731/.631  .702/.361  .701/.627  .700/.360
scNym           .664/.547  .757/.366  .663/.575  .779/.371
scJoint         .710/.615  .745/.354  .681/.613  .761/.358
Cellcano        .632/.525  .698/.371  .605/.509  .680/.364
seqAlignATAC    .869/.710  .742/.486  .694/.618  .693/.377
"""
PAIRS_1 = tuple(pair for name in MOS for pair in ((name, "WholeBrainA"), ("WholeBrainA", name)))
PAIRS_2 = tuple(
    pair
    for name in ("WholeBrainA", "WholeBrainB")
    for pair in (("MouseBrain(10x)", name), (name, "MouseBrain(10x)"))
)
NOTES = (
    "The embedding of DNA is that of 6-mers unless --set embedder=transformer gives weights of a "
    "Nucleotide Transformer; the column dna says which.",
    "Scores over all cells of the query; shared_ are those of types that the reference has.",
)


def names(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """What the cases of pairs are called."""
    return [f"{first} to {second}" for first, second in pairs]


_new = partial(
    Experiment,
    paper="seqAlignATAC (Bioinformatics 2025, btaf682)",
    divide=divide.pairs,
    measure=naming.naming,
    figures=(*BOTH, "shared_accuracy", "shared_macro_f1"),
    by=("dna",),
    together=True,
    reads=("atac",),
    needs=("genome",),
    notes=NOTES,
)
WAYS = (
    Way("seqalign", "seqalign", adapts=True),
    Way("seqalign, paper", "seqalign", {"preset": "paper"}, adapts=True),
    Way("seqalign, no query", "seqalign"),
)

EXPERIMENTS = (
    _new(
        name="seqalign-table-1",
        shows="Table 1",
        what="across platforms: snATAC and sciATAC of mouse brain",
        data=tuple(f"sango-{name.lower()}-wholebraina" for name in MOS),
        ways=WAYS,
        published=published(TABLE_1, names(PAIRS_1), BOTH, "Table 1"),
    ),
    _new(
        name="seqalign-table-2",
        shows="Table 2",
        what="across platforms: 10x and sciATAC of mouse brain",
        data=("sango-mousebrain10x-wholebraina", "sango-mousebrain10x-wholebrainb"),
        ways=WAYS,
        published=published(TABLE_2, names(PAIRS_2), BOTH, "Table 2"),
    ),
    _new(
        name="seqalign-ablations",
        shows="the ablations",
        what="without DNA, without adaptation, other alignments, changed DNA",
        data=("sango-mosa1-wholebrainb",),
        ways=(
            WAYS[0],
            Way("LSI, no DNA", "seqalign", {"embedder": "lsi"}, adapts=True),
            Way("nearest neighbours", "seqalign", {"classifier": "knn"}, adapts=True),
            Way("not aligned", "seqalign", {"align": "none"}, adapts=True),
            Way("MMD", "seqalign", {"align": "mmd"}, adapts=True),
            Way("CORAL", "seqalign", {"align": "coral"}, adapts=True),
            Way("alpha constant", "seqalign", {"schedule": "constant"}, adapts=True),
            Way("alpha linear", "seqalign", {"schedule": "linear"}, adapts=True),
            Way("5 neighbours", "seqalign", {"neighbours": 5}, adapts=True),
            Way("30 neighbours", "seqalign", {"neighbours": 30}, adapts=True),
            Way("K = 2", "seqalign", {"target_steps": 2}, adapts=True),
            Way("K = 30", "seqalign", {"target_steps": 30}, adapts=True),
            Way("DNA shuffled", "seqalign", {"change": "shuffled"}, adapts=True),
            Way("DNA mutated", "seqalign", {"change": "mutated"}, adapts=True),
            Way("DNA random", "seqalign", {"change": "random"}, adapts=True),
        ),
        published=(
            Published("MosA1 to WholeBrainB", "seqAlignATAC (NT and adaptation)",
                      {"accuracy": 0.9015, "macro_f1": 0.7694}, "text"),
        ),
    ),
)  # fmt: skip
