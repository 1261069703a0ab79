"""seqAlignATAC: stage 2 by hand, and whole fits over a small genome."""

from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import cytonym
from cytonym.data.domains import joined
from cytonym.data.simulate_domains import simulate_domains
from cytonym.errors import DataError, OptionError, TrainingError
from cytonym.methods import get
from cytonym.methods.seqalign import (
    align_loss,
    join_cells,
    shown,
)
from cytonym.nn.adapt import common, coral, mmd, reverse, strength, told_apart
from cytonym.nn.losses import Balance
from cytonym.types import Batch, Clock

pytest.importorskip("pyfaidx")
pytest.importorskip("bioframe")

CLOCK = Clock("align", 3, 0.5, 7)


def options(**changes):
    plain = {"teleport": 0.0, "center": "none", "metric": "euclidean", "linear_path": False}
    plain |= {"hidden": 8, "neighbours": 4, "dropout": 0.0}
    return get("seqalign").Options(**{**plain, **changes})


def cells(n, domain, seed, width=5):
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.integers(0, 3, n))
    x = torch.from_numpy(rng.standard_normal((n, width)).astype("f4")) + y[:, None]
    here = torch.ones(n, dtype=torch.bool)
    y = y if domain == 0 else torch.full((n,), -1)
    return Batch({"atac": x}, {}, {"atac": here}, y, torch.full((n,), domain), torch.arange(n))


def net(query=True, **changes):
    torch.manual_seed(0)
    made = get("seqalign").build({"atac": 5}, 3, options(**changes))
    join_cells(made, [cells(30, 0, 0), *([cells(24, 1, 1)] if query else [])])
    return made


def dense(graph):
    return graph.spread(torch.eye(len(graph)), 1).detach().numpy()


@pytest.mark.parametrize(("domain", "steps"), [(0, 0), (1, 3)])
def test_the_layers_are_those_of_the_equations(domain, steps):
    model = net(target_steps=3).eval()
    graph = model.domain(domain).graph
    a, x = dense(graph), graph.x.numpy()

    def turned(layer, h):
        return h @ layer.weight.detach().numpy().T

    def bias(layer):
        return layer.bias.detach().numpy()

    first, second, last = model.layers.first, model.layers.second, model.layers.last
    h1 = np.maximum(a @ turned(first, x) + bias(first), 0)
    h2 = np.maximum(np.linalg.matrix_power(a, steps) @ turned(second, h1) + bias(second), 0)
    want = a @ turned(last, h2) + bias(last)
    told = model.whole(graph, model.steps(domain))
    np.testing.assert_allclose(told.scores.detach(), want, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"target_steps": 3, "teleport": 0.2},
        {"mode": "sgc"},
        {"first_step": False},
        {"center": "auto", "metric": "cosine"},
    ],
)
def test_a_cell_that_was_in_the_fit_gets_the_answer_of_the_fit(changes):
    model, query = net(**changes).eval(), cells(24, 1, 1)
    with torch.no_grad():
        said = get("seqalign").predict(model, query)
        told = model.tables(1)
    torch.testing.assert_close(said.scores, told.scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said.embedding, told.h2, atol=1e-5, rtol=1e-4)


def test_cells_that_were_propagated_first_go_through_plain_layers():
    model = net(mode="sgc", target_steps=3).eval()
    graph = model.domain(1).graph
    z = np.linalg.matrix_power(dense(graph), 5) @ graph.x.numpy()
    first, second, last = (
        (one.weight.detach().numpy(), one.bias.detach().numpy())
        for one in (model.layers.first, model.layers.second, model.layers.last)
    )
    h1 = np.maximum(z @ first[0].T + first[1], 0)
    want = np.maximum(h1 @ second[0].T + second[1], 0) @ last[0].T + last[1]
    np.testing.assert_allclose(model.tables(1).scores.detach(), want, atol=1e-4)


def test_parts_of_a_graph_are_whole_graphs_where_one_part_has_all_cells():
    batch = joined(cells(30, 0, 0), cells(24, 1, 1))
    full, parts = net(mode="full"), net(mode="cluster")
    for model in (full, parts):
        model.train()
    assert parts.domain(1).part.unique().tolist() == [0]
    one, other = (align_loss(model, batch, CLOCK, even=Balance()) for model in (full, parts))
    torch.testing.assert_close(one, other)


def test_a_step_of_parts_looks_at_one_part_of_each_data_set(monkeypatch):
    monkeypatch.setattr(import_module("cytonym.methods.seqalign"), "PART", 8)
    model = net(mode="cluster").train()
    home = model.domain(0)
    assert len(home.part.unique()) > 2
    row = torch.arange(30).repeat_interleave(home.graph.start.diff())
    assert (home.part[row] == home.part[home.graph.column]).all()
    h2, scores, y = shown(model, 0, cells(30, 0, 0), CLOCK)
    part = home.part[CLOCK.seed * 7919 % 30]
    assert len(h2) == len(scores) == len(y) == int((home.part == part).sum()) < 30


def test_without_a_query_new_cells_hang_on_to_the_reference():
    model = net(query=False).eval()
    assert not model.has_target()
    new = cells(9, 1, 5)
    with torch.no_grad():
        whole = get("seqalign").predict(model, new).scores
        alone = torch.cat([get("seqalign").predict(model, one(new, i)).scores for i in range(9)])
    torch.testing.assert_close(whole, alone)


def one(batch, row):
    rows = slice(row, row + 1)
    return Batch(
        {"atac": batch.x["atac"][rows]},
        {},
        {"atac": batch.present["atac"][rows]},
        batch.y[rows],
        batch.domain[rows],
        batch.key[rows],
    )


def test_the_ramp_and_the_other_courses():
    assert strength(0.0, "ramp") == 0
    assert strength(0.1, "ramp") == pytest.approx(2 / (1 + np.exp(-1)) - 1)
    assert strength(1.0, "ramp") == pytest.approx(0.99991, abs=1e-5)
    assert strength(0.3, "linear") == 0.3
    assert strength(0.0, "constant") == 1


def test_the_gradient_is_reversed():
    h = torch.ones(3, requires_grad=True)
    (2 * reverse(h, 0.25)).sum().backward()
    assert h.grad is not None
    torch.testing.assert_close(h.grad, torch.full((3,), -0.5))


def test_the_discriminator_learns_to_tell_and_the_features_to_hide():
    model = net()
    h, other = torch.randn(20, 8) + 1, torch.randn(16, 8) - 1
    h.requires_grad_()
    loss = told_apart(model.layers.discriminator, h, other, 1.0, None)
    loss.backward()
    weight = model.layers.discriminator[0].weight
    assert weight.grad is not None
    with torch.no_grad():
        weight -= 0.5 * weight.grad
        assert told_apart(model.layers.discriminator, h, other, 1.0, None) < loss
        weight += 0.5 * weight.grad
        assert told_apart(model.layers.discriminator, h - 0.5 * h.grad, other, 1.0, None) > loss


def test_distances_of_data_sets_are_0_for_one_and_grow_with_the_shift():
    h = torch.randn(200, 4)
    for measure in (mmd, coral):
        assert measure(h, h).abs() < 1e-6
        assert torch.isfinite(measure(h, h[:1]))
        assert measure(h, 3 * h + 1) > measure(h, 1.2 * h + 0.1) > 0
    want = (np.cov(h.T.numpy()) - np.cov((2 * h).T.numpy())) ** 2
    assert coral(h, 2 * h).item() == pytest.approx(want.sum() / 64, rel=1e-4)


def test_reference_cells_weigh_by_how_common_their_type_is_in_the_query():
    guessed = torch.tensor([[9.0, 0, 0], [9.0, 0, 0], [0, 9.0, 0]])
    share = common(guessed, torch.tensor([0, 1, 2]))
    assert share[0] == 1
    assert share[1] == pytest.approx(0.5, abs=0.01)
    assert share[2] < 0.01


def test_nearest_labelled_cells_of_the_reference_vote():
    model, reference = net(classifier="knn", neighbours=5), cells(30, 0, 0)
    reference.y[:4] = -1
    join_cells(model, [reference, cells(24, 1, 1)])
    new = cells(9, 1, 5)
    told = get("seqalign").predict(model.eval(), new).scores.exp()
    known = reference.y >= 0
    x, y = reference.x["atac"][known].numpy(), reference.y[known].numpy()
    want = KNeighborsClassifier(5).fit(x, y).predict_proba(new.x["atac"].numpy())
    np.testing.assert_allclose(told, np.maximum(want, 1e-6), atol=1e-6)


@pytest.mark.parametrize("align", ["adversarial", "mmd", "coral", "none"])
@pytest.mark.parametrize("mode", ["full", "sgc", "cluster"])
def test_every_way_to_align_gives_a_finite_loss_and_gradients(align, mode):
    model = net(align=align, mode=mode, prior=True, discriminator=(6,), schedule="constant")
    batches = [cells(30, 0, 0), cells(24, 1, 1)]
    parts = align_loss(model.train(), joined(*batches), CLOCK, even=Balance())
    parts["total"].backward()
    assert torch.isfinite(parts["total"])
    assert ("domains" in parts) == (align != "none")
    for layer in (model.layers.first, model.layers.second, model.layers.last):
        assert torch.isfinite(layer.weight.grad).all()


# --- whole fits --------------------------------------------------------------------------------

QUICK = {"window": 500, "k": 5, "dim": 16, "trunk_hidden": 128, "trunk_epochs": 12, "epochs": 40}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    rng = np.random.default_rng(0)
    motifs = {f"M{i}": rng.dirichlet(np.full(4, 0.15), 12).T for i in range(8)}
    return simulate_domains(
        tmp_path_factory.mktemp("world"), motifs, seed=1, n_cells=200, n_types=4, n_peaks=1200
    )


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def adapted(world, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CYTONYM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield cytonym.fit(
            world.reference,
            labels="cell_type",
            method="seqalign",
            query=world.query,
            genome=world.fasta,
            options=QUICK,
            validation=0,
            progress=False,
        )


def right(calls, query):
    truth = query.obs["cell_type"].astype(str).to_numpy()
    known = np.isin(truth, calls.probabilities.columns)
    return (calls.labels.astype(str) == truth)[known].mean()


def test_cells_are_named_by_dna_where_most_peaks_are_not_shared(adapted, world):
    calls = adapted.annotate(world.query, genome=world.fasta, progress=False)
    assert right(calls, world.query) > 0.9
    notes = " ".join(adapted.report.notes)
    assert "200 cells of the query" in notes
    assert "held-out peaks told which are open in a cell with AUROC" in notes
    assert "all cells of the query differ alike" in notes
    assert any("of the data's own, by their DNA" in note for note in calls.notes)
    assert calls.embedding.shape == (200, 128)


def test_a_saved_model_needs_no_refit_for_new_cells_and_cells_do_not_depend_on_others(
    adapted, world, tmp_path
):
    adapted.save(tmp_path / "m.cytonym")
    model = cytonym.load(tmp_path / "m.cytonym")
    whole = adapted.annotate(world.query, genome=world.fasta, progress=False).probabilities
    some = model.annotate(world.query[20:27], genome=world.fasta, batch_size=3, progress=False)
    np.testing.assert_allclose(some.probabilities, whole.iloc[20:27], atol=1e-4)


def test_auto_takes_atac_with_a_genome_here(world):
    few = {**QUICK, "trunk_epochs": 1, "epochs": 2}
    model = cytonym.fit(
        world.reference,
        labels="cell_type",
        genome=world.fasta,
        options=few,
        validation=0,
        progress=False,
    )
    assert model.method.name == "seqalign"


def test_bad_input_is_told_before_anything_is_learned(world, adapted, tmp_path):
    fit = {"labels": "cell_type", "method": "seqalign", "options": QUICK, "progress": False}
    with pytest.raises(DataError, match="there is no genome"):
        cytonym.fit(world.reference, **fit)
    with pytest.raises(DataError, match="there is no genome"):
        adapted.annotate(world.query, progress=False)
    short = tmp_path / "short.fa"
    short.write_text("".join(f">chr{n}\n{'ACGT' * 100}\n" for n in range(1, 6)))
    with pytest.raises(DataError, match="do not lie within their chromosomes"):
        cytonym.fit(world.reference, genome=short, **fit)
    other = tmp_path / "other.fa"
    other.write_text(">chrZ\nACGTACGT\n")
    with pytest.raises(DataError, match="it has no chr4"):
        cytonym.fit(world.reference, genome=other, **fit)
    nameless = world.reference.copy()
    nameless.var_names = [f"peak{i}" for i in range(nameless.n_vars)]
    nameless.var = nameless.var[["type"]].assign(feature_types="Peaks")
    with pytest.raises(DataError, match="1,200 of 1,200 peaks have no coordinates"):
        cytonym.fit(nameless, genome=world.fasta, **fit)
    with pytest.raises(DataError, match="have no coordinates"):
        cytonym.fit(world.reference, genome=world.fasta, query=nameless, **fit)


def test_inspect_reads_the_dna_of_peaks_that_need_not_be_shared(world, adapted):
    page = cytonym.inspect(world.query, model=adapted, genome=world.fasta)
    assert page.usable
    assert not page.coverage
    page = cytonym.inspect(world.query, model=adapted)
    assert "there is no genome" in page.problems[0].what


def test_cells_without_a_type_leave_the_linear_path_as_it_is(world):
    """Types are learned from the labelled cells in one batch, however many others there are."""
    reference = world.reference.copy()
    labels = reference.obs["cell_type"].astype(object)
    labels[np.arange(200) % 4 > 0] = None
    reference.obs["cell_type"] = labels
    lsi = {"embedder": "lsi", "components": 4, "epochs": 1, "penalty": 0.1}
    fit = {"labels": "cell_type", "method": "seqalign", "validation": 0, "progress": False}
    sizes = []

    def spied(net, batch, clock, **more):
        sizes.append(int((batch.y >= 0).sum()))
        return linear_loss(net, batch, clock, **more)

    module = import_module("cytonym.methods.seqalign")
    linear_loss = module.linear_loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "linear_loss", spied)
        patch.setattr(module, "solved", partial(module.solved, batch_size=60))
        cytonym.fit(reference, options=lsi, **fit)
    assert {*sizes} == {50}


def test_a_state_of_a_fit_with_other_dna_is_refused(world, tmp_path):
    few = {**QUICK, "trunk_epochs": 1, "epochs": 2}
    fit = {"labels": "cell_type", "method": "seqalign", "validation": 0, "progress": False}
    cytonym.fit(world.reference, genome=world.fasta, options=few, state=tmp_path, **fit)
    other = tmp_path / "other.fa"
    text = world.fasta.read_text().translate(str.maketrans("ACGT", "CATG"))
    other.write_text(
        "".join(
            a if a[0] == ">" else b
            for a, b in zip(
                world.fasta.read_text().splitlines(True), text.splitlines(True), strict=True
            )
        )
    )
    with pytest.raises(TrainingError, match="other data, options or seed"):
        cytonym.fit(world.reference, genome=other, options=few, state=tmp_path, **fit)


def test_a_genome_that_is_not_read_is_told(world):
    lsi = {"embedder": "lsi", "components": 4, "epochs": 1}
    fit = {"labels": "cell_type", "method": "seqalign", "validation": 0, "progress": False}
    model = cytonym.fit(world.reference, genome=world.fasta, options=lsi, **fit)
    assert any("the genome was not read" in note for note in model.report.notes)


def test_a_masked_genome_is_refused_and_a_file_of_embeddings_that_is_none_too(world, tmp_path):
    fit = {"labels": "cell_type", "method": "seqalign", "progress": False}
    masked = tmp_path / "masked.fa"
    lines = world.fasta.read_text().splitlines()
    masked.write_text("\n".join(one if one[0] == ">" else "N" * len(one) for one in lines) + "\n")
    with pytest.raises(DataError, match="1,200 of 1,200 peaks"):
        cytonym.fit(world.reference, genome=masked, options=QUICK, **fit)
    names = world.reference.var_names.to_numpy().astype(str)
    file = tmp_path / "wrong.npz"
    given = {"embedder": "precomputed", "embeddings": str(file)}
    for write, said in (
        (lambda: file.write_bytes(b""), "cannot be read"),
        (lambda: file.write_bytes(b"no numbers"), "cannot be read"),
        (lambda: np.savez(file, peaks=names, embeddings=np.full((1200, 2), "a")), "<U1 of shape"),
        (lambda: np.savez(file, peaks=names, embeddings=np.zeros((1200, 0))), r"\(1200, 0\)"),
    ):
        write()
        with pytest.raises(DataError, match=said):
            cytonym.fit(world.reference, options={**QUICK, **given}, **fit)
    with pytest.raises(OptionError, match="change spoils DNA"):
        cytonym.fit(world.reference, options={**given, "change": "shuffled"}, **fit)


def test_a_damaged_cache_is_made_anew(world, adapted, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path))
    first = adapted.annotate(world.query, genome=world.fasta, progress=False)
    (file,) = (tmp_path / "embeddings").glob("*.npy")
    file.write_bytes(file.read_bytes()[:100])
    again = adapted.annotate(world.query, genome=world.fasta, progress=False)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)


def test_a_reference_too_large_for_one_batch_of_the_linear_path(world, monkeypatch):
    from cytonym.methods import seqalign

    parts = partial(seqalign.solved, batch_size=64)
    monkeypatch.setattr(seqalign, "solved", parts)
    monkeypatch.setattr(seqalign, "WHOLE", 100)  # batches for the graphs too
    fit = {"labels": "cell_type", "method": "seqalign", "validation": 0, "progress": False}
    model = cytonym.fit(
        world.reference, query=world.query, genome=world.fasta, options=QUICK, **fit
    )
    assert model.net.sgc()
    calls = model.annotate(world.query, genome=world.fasta, progress=False)
    assert right(calls, world.query) > 0.85


def test_spoilt_dna_is_worth_less(world):
    fit = {"labels": "cell_type", "method": "seqalign", "validation": 0, "progress": False}
    model = cytonym.fit(
        world.reference, genome=world.fasta, options={**QUICK, "change": "shuffled"}, **fit
    )
    calls = model.annotate(world.query, genome=world.fasta, progress=False)
    assert right(calls, world.query) < 0.7


def test_embeddings_that_a_user_made_are_read(world, tmp_path):
    rng = np.random.default_rng(0)
    names = np.r_[world.reference.var_names, world.query.var_names].astype(str)
    kind = np.r_[world.reference.var["type"], world.query.var["type"]].astype(str)
    told = (kind[:, None] == np.unique(kind)[None]) + 0.1 * rng.standard_normal((len(kind), 5))
    file = tmp_path / "made.npz"
    np.savez(file, peaks=names, embeddings=told)
    settings = {**QUICK, "embedder": "precomputed", "embeddings": str(file)}
    fit = {"labels": "cell_type", "method": "seqalign", "validation": 0, "progress": False}
    model = cytonym.fit(world.reference, options=settings, **fit)
    assert right(model.annotate(world.query, progress=False), world.query) > 0.9
    np.savez(file, peaks=names[:-5], embeddings=told[:-5])
    with pytest.raises(DataError, match="it lacks 5 of 1,200 peaks"):
        model.annotate(world.query, progress=False)
