"""How much memory may be taken: words, what a fit keeps, what naming takes, matrices read whole."""

import numpy as np
import pytest
import torch
from scipy.sparse import csc_matrix, csr_matrix

import cytonym
import cytonym.forecast
import cytonym.opening
from command import run
from cytonym.data.ahead import ahead
from cytonym.data.loader import Feed, shuffled
from cytonym.data.read import Reading, open_cells
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError
from cytonym.forecast import forecast
from cytonym.memory import WORK, in_bytes, resident, room, words
from cytonym.prep import Depth, Log1p, Scale, fit_chain, inputs
from cytonym.types import Stage


@pytest.mark.parametrize(
    ("said", "size"),
    [("4GB", 4_000_000_000), ("500 MiB", 500 * 2**20), (123, 123), ("1.5gb", 1_500_000_000)],
)
def test_amounts_are_read_as_people_write_them(said, size):
    assert in_bytes(said) == size


@pytest.mark.parametrize("said", ["much", "", "-1GB", "0GB", "4", 0, "3,5GB", "4GB or so"])
def test_other_words_are_refused(said):
    with pytest.raises(OptionError, match=r"[mM]emory"):
        in_bytes(said)


def test_sizes_are_told_in_words():
    assert words(3.214e9) == "3.21 GB"
    assert words(700e6) == "700 MB"
    assert words(999.6e6) == "1 GB"
    assert words(2.5e12) == "2,500 GB"
    assert words(12_345_678) == "12 MB"
    assert words(2000) == "2,000 bytes"


def test_a_fit_is_refused_less_than_its_work_with_both_figures():
    with pytest.raises(OptionError, match=r"takes \d\.\d+ GB beside .* max_memory is 100 MB"):
        cytonym.fit(simulate(60, 60, 2, seed=0), labels="cell_type", max_memory="0.1GB")


def test_what_is_left_for_features_is_what_the_libraries_and_the_work_leave():
    before = resident()
    assert room("8GB") == pytest.approx(8e9 - WORK - before, abs=5e7)


@pytest.fixture
def feeds():
    """The same 300 cells, kept and read anew."""
    cells = open_cells(simulate(300, 60, 3, seed=0))
    chain = (Depth(), Log1p(), Scale())
    fit_chain(chain, _Blocks(cells))
    way = inputs({"rna": chain}, {}, cells.spaces)
    y = np.arange(300) % 3
    rows = np.arange(10, 290)
    return [Feed(cells, way, y, rows, memory) for memory in (4 * 280 * 60, 4 * 280 * 60 - 1)]


class _Blocks:
    def __init__(self, cells):
        self.cells, self.space = cells, cells.spaces["rna"]

    def __len__(self):
        return 300

    def __iter__(self):
        yield self.cells.read("rna", np.arange(300))


def test_what_fits_is_kept_what_does_not_is_made_anew_and_batches_are_alike(feeds):
    stage = Stage("one", (), 1, batch_size=64)
    kept, anew = ([*feed.epoch(stage, seed=(1,), rank=0, world=1)] for feed in feeds)
    assert feeds[0].size == 4 * 280 * 60
    assert [feed._place is not None for feed in feeds] == [True, False]
    assert len(kept) == len(anew) == 5
    for one, other in zip(kept, anew, strict=True):
        assert torch.equal(one.key, other.key)
        assert torch.equal(one.y, other.y)
        assert torch.allclose(one.x["rna"], other.x["rna"], atol=1e-6)
        assert torch.equal(one.detected["rna"], other.detected["rna"])


def test_what_was_let_go_of_is_made_anew(feeds):
    feed = feeds[0]
    feed.keep()
    before = feed.batch(np.array([20, 11])).x["rna"]
    feed.drop()
    assert feed._place is None
    assert torch.allclose(feed.batch(np.array([20, 11])).x["rna"], before, atol=1e-6)


def test_a_fit_that_keeps_nothing_gives_the_same_model():
    cells = simulate(300, 60, 3, seed=0)
    options = {"epochs": 3, "genes": 60, "sub_vector": 20, "smooth_k": 5, "smooth_alpha": 0.5}
    options |= {"unit_variance": False, "dim": 8}
    how = {"labels": "cell_type", "method": "sctrans", "options": options, "progress": False}
    most = cytonym.fit(cells, **how)
    least = cytonym.fit(cells, max_memory=resident() + WORK + 1000, **how)
    for name, value in most.net.state_dict().items():
        assert torch.allclose(value, least.net.state_dict()[name], atol=1e-4), name


def test_many_rows_are_shuffled_in_windows_and_all_come_once():
    rows = np.arange(0, 200, 2)
    order = shuffled(rows, np.random.default_rng(0), chunk=4, window=20)
    assert sorted(order) == sorted(rows)
    for start in range(0, 100, 20):  # a window holds whole chunks of four neighbours
        assert {*np.bincount(order[start : start + 20] // 8)} <= {0, 4}


def test_items_are_made_ahead_in_order_and_an_error_comes_at_its_place():
    made = []

    def items():
        for one in range(4):
            if one == 3:
                raise ValueError("the fourth")
            made.append(one)
            yield one

    found = ahead(items())
    assert next(found) == 0
    assert next(found) == 1
    assert next(found) == 2
    with pytest.raises(ValueError, match="the fourth"):
        next(found)
    assert made == [0, 1, 2]


@pytest.fixture(scope="module")
def model():
    cells = simulate(300, 60, 3, seed=0)
    return cytonym.fit(cells, labels="cell_type", method="linear", progress=False)


def test_naming_is_foretold_from_two_batches(model):
    opened = model.opened(simulate(2000, 60, 3, seed=1), Reading())
    found = forecast(model, opened, part=500, batch_size=100)
    assert found.cells == 2000
    assert 0.01 < found.seconds < 100
    assert resident() < found.memory < resident() + 50_000_000
    assert str(found).startswith("2,000 cells: about ")


def test_many_cells_are_told_of_before_they_are_named(model, monkeypatch, caplog):
    monkeypatch.setattr(cytonym.forecast, "MANY", 1000)
    with caplog.at_level("INFO", "cytonym"):
        model.annotate(simulate(2000, 60, 3, seed=1), progress=False)
    assert any(
        ("2,000 cells: about" in one and " MB" in one) or " GB" in one for one in caplog.messages
    )


def test_naming_is_refused_where_it_takes_more(model):
    with pytest.raises(OptionError, match=r"Naming 2,000 cells takes about .* max_memory is 10 MB"):
        model.annotate(simulate(2000, 60, 3, seed=1), max_memory="10MB", progress=False)


def test_a_matrix_that_is_read_whole_is_refused_before_it_is_read(model, tmp_path, monkeypatch):
    cells = simulate(200, 60, 3, seed=1)
    cells.X = csc_matrix(cells.X)
    cells.write_h5ad(tmp_path / "columns.h5ad")
    monkeypatch.setattr(cytonym.opening, "resident", lambda: 1000)
    limit = 1000 + 16 * cells.X.nnz - 1
    with pytest.raises(OptionError, match=r"stored by columns \(csc\) and read whole"):
        model.annotate(tmp_path / "columns.h5ad", max_memory=limit, progress=False)
    cells.X = csr_matrix(cells.X)
    cells.write_h5ad(tmp_path / "rows.h5ad")
    opened = model.opened(tmp_path / "rows.h5ad", Reading())
    cytonym.opening.check_loads(opened.cells, 1001)


def test_the_commands_take_max_memory(model, tmp_path):
    cells = simulate(150, 60, 3, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    model.save(tmp_path / "model")
    words_ = ("fit", "cells.h5ad", "--labels", "cell_type", "--method", "linear", "--out", "new")
    done = run(*words_, "--max-memory", "1MB", code=2, cwd=tmp_path)
    assert "max_memory is 1 MB" in done.stderr
    assert not (tmp_path / "new").exists()
    words_ = ("annotate", "cells.h5ad", "--model", "model", "--out", "out.h5ad")
    run(*words_, "--max-memory", "a lot", code=2, cwd=tmp_path)
    run(*words_, "--max-memory", "20GB", cwd=tmp_path)
    assert (tmp_path / "out.h5ad").exists()


def test_a_process_that_holds_much_may_fit_where_no_limit_is_set(monkeypatch):
    monkeypatch.setattr("cytonym.memory.resident", lambda: 10**12)
    assert room(None) == 2 * 1024**3
    with pytest.raises(OptionError, match="max_memory is 4 GB"):
        room("4GB")


def test_scores_of_held_out_cells_use_what_is_kept(feeds, monkeypatch):
    from cytonym.fitting.run import held_score
    from cytonym.methods import get

    feed = feeds[0]
    feed.keep()
    seen = []
    method = get("linear")
    net = method.build(feed.inputs.widths, 3, method.Options())

    def predict(method, net, asked):
        seen.append(asked)
        return asked.y[asked.rows]

    monkeypatch.setattr("cytonym.fitting.run.predict", predict)
    found = held_score(method, net, Stage("one", (), 1, 64), feed=feed)
    assert found["held_out_accuracy"] == 1
    assert seen[0]._place is feed._place is not None
