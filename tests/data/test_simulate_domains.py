"""A reference and a query share types and peaks in part, and the sequence of a peak its type."""

import numpy as np
import pytest

from cytonym.data.simulate_domains import Domains, simulate_domains
from cytonym.errors import OptionError

RNG = np.random.default_rng(0)
MOTIFS = {f"Tf{i}": np.eye(4)[:, RNG.integers(0, 4, 12)] * 0.9 + 0.025 for i in range(10)}
WORDS = {name: "".join("ACGT"[i] for i in m.argmax(axis=0)) for name, m in MOTIFS.items()}
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def domains(tmp_path_factory) -> Domains:
    return simulate_domains(tmp_path_factory.mktemp("domains"), MOTIFS, seed=0)


def matches(domains: Domains, part: str) -> np.ndarray:
    """``(peaks, types)``: exact words of each type's motifs, on both strands."""
    texts = (one.split("\n", 1) for one in domains.fasta.read_text().split(">")[1:])
    genome = {name: lines.replace("\n", "") for name, lines in texts}
    var = getattr(domains, part).var
    found = np.zeros((len(var), 5))
    for row, peak in enumerate(var.itertuples()):
        letters = genome[peak.chr][peak.start : peak.end]
        assert len(letters) == 500
        both = letters + "N" + letters.translate(COMPLEMENT)[::-1]
        for number, word in enumerate(WORDS.values()):
            found[row, number % 5] += both.count(word)
    return found


def test_the_query_lacks_type_a_and_the_reference_type_e(domains):
    kinds = [set(one.obs["cell_type"]) for one in (domains.reference, domains.query)]
    assert kinds == [{f"type {x}" for x in "ABCD"}, {f"type {x}" for x in "BCDE"}]
    assert set(domains.reference.obs_names).isdisjoint(domains.query.obs_names)
    assert domains.reference.shape == domains.query.shape == (400, 800)


def test_240_of_800_peaks_overlap_one_of_the_other_and_none_is_the_same(domains):
    here, there = domains.reference.var, domains.query.var
    overlapping = 0
    for chrom, one in here.groupby("chr"):
        other = there[there["chr"] == chrom]
        apart = one["end"].to_numpy()[:, None] <= other["start"].to_numpy()
        apart |= other["end"].to_numpy() <= one["start"].to_numpy()[:, None]
        overlapping += (~apart).sum()
    assert overlapping == len(set(here["locus"]) & set(there["locus"])) == 240
    assert set(here.index).isdisjoint(there.index)


@pytest.mark.parametrize("part", ["reference", "query"])
def test_the_words_in_a_peak_say_in_which_type_it_opens(domains, part):
    found, adata = matches(domains, part), getattr(domains, part)
    kind = adata.var["type"].map(dict(zip([f"type {x}" for x in "ABCDE"], range(5), strict=True)))
    typed = (found.sum(axis=1) > 0) & kind.notna().to_numpy()
    assert typed.sum() > 350
    right = found[typed].argmax(axis=1) == kind[typed]
    assert right.mean() > 0.99
    assert found[kind.isna()].sum() < 3
    for name in set(adata.obs["cell_type"]):
        cells = (adata.obs["cell_type"] == name).to_numpy()
        own = adata.X[:, (adata.var["type"] == name).to_numpy()]
        assert own[cells].mean() > 2.5 * own[~cells].mean()


def test_the_query_has_about_60_percent_of_the_depth(domains):
    assert 0.52 < domains.query.X.mean() / domains.reference.X.mean() < 0.68
    assert set(np.unique(domains.query.X.data)) == {1.0}


def test_no_overlap_and_full_overlap_are_as_asked(tmp_path):
    for share in (0.0, 1.0):
        made = simulate_domains(tmp_path, MOTIFS, seed=1, n_cells=20, n_peaks=50, overlap=share)
        both = set(made.reference.var["locus"]) & set(made.query.var["locus"])
        assert len(both) == 50 * share


def test_the_same_seed_gives_the_same_cells_and_file_byte_by_byte(tmp_path):
    one, again, other = (
        simulate_domains(tmp_path / name, MOTIFS, seed=seed, n_cells=30, n_peaks=60)
        for name, seed in (("one", 3), ("again", 3), ("other", 4))
    )
    assert one.fasta.read_bytes() == again.fasta.read_bytes() != other.fasta.read_bytes()
    for part in ("reference", "query"):
        first, second = getattr(one, part), getattr(again, part)
        assert (first.X != second.X).nnz == 0
        assert first.obs.equals(second.obs)
        assert first.var.equals(second.var)


def test_sizes_that_do_not_go_together_are_refused_all_at_once(tmp_path):
    few = dict(list(MOTIFS.items())[:3])
    with pytest.raises(OptionError) as error:
        simulate_domains(tmp_path, few, seed=0, absent=3, new=2, overlap=2)
    for part in ("3 motifs, 800 peaks", "absent is 3, new 2", "overlap is 2"):
        assert part in str(error.value)
