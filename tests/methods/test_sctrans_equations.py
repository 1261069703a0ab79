"""The equations of the paper against plain numpy loops."""

import numpy as np
import pytest
import torch

from cytonym.methods.sctrans import Visible, completion_loss


def array(tensor):
    return tensor.detach().double().numpy()


def softmax(row):
    raised = np.exp(row - row.max())
    return raised / raised.sum()


def groups(module, cell, shown, c):
    """I(X, i): c neighbouring positions side by side; blank where masked, zeros at the end."""
    blank, dim = array(module.blank), cell.shape[1]
    out = []
    for start in range(0, len(cell), c):
        parts = []
        for place in range(start, start + c):
            if place >= len(cell):
                parts.append(np.zeros(dim))
            else:
                parts.append(cell[place] if shown[place] else blank)
        out.append(np.concatenate(parts))
    return out


def queries_keys_values(module, cell, shown, place, weights=None):
    """Q, K, V of one scale, by head: lists of (rows, channels)."""
    c, part, heads = module.scales[place], module.part, module.heads
    wide = groups(module, cell, shown, c)
    if weights is not None:
        wide = [m * group for m, group in zip(weights, wide, strict=True)]
    linear = module.queries[place]
    q = np.array([array(linear.weight) @ group + array(linear.bias) for group in wide])
    both = np.array(
        [
            array(module.keys_values.weight) @ cell[i] + array(module.keys_values.bias)
            for i in range(len(cell))
            if shown[i]
        ]
    )
    dim = cell.shape[1]
    k = both[:, :dim][:, place * part : (place + 1) * part]
    v = both[:, dim:][:, place * part : (place + 1) * part]
    size = part // heads
    return [[m[:, h * size : (h + 1) * size] for h in range(heads)] for m in (q, k, v)]


def attend(module, cell, shown, weights=None):
    """Eq. 1, 2 (and 5) for one cell: a row for each visible position."""
    rows = {i: [] for i in range(len(cell)) if shown[i]}
    for place, c in enumerate(module.scales):
        own = None if weights is None else weights[place]
        by_head = zip(*queries_keys_values(module, cell, shown, place, own), strict=True)
        answer = []
        for q, k, v in by_head:
            answer.append([softmax(k @ one / np.sqrt(len(one))) @ v for one in q])
        for i in rows:
            rows[i] += [head[i // c] for head in answer]
    out = module.out
    return {i: array(out.weight) @ np.concatenate(row) + array(out.bias) for i, row in rows.items()}


SHOWN = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)


@pytest.fixture
def scene(small):
    """Attention of scales 1 and 2 over 5 positions: 4, 2 and 5 of them visible."""
    net = small.net()
    grid = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    visible = Visible(SHOWN)
    return net, net.main.encoder.blocks[0].attention, grid, visible


@pytest.mark.parametrize("weighted", [False, True])
def test_attention_at_scales_1_and_2_equals_loops_over_positions_and_heads(scene, weighted):
    _, module, grid, visible = scene
    draw = torch.Generator().manual_seed(1)
    weights = [torch.rand(3, n, generator=draw) for n in (5, 3)] if weighted else None
    found = module(visible.take(grid), visible, weights)
    for cell in range(3):
        own = [array(m[cell]) for m in weights] if weighted else None
        wanted = attend(module, array(grid[cell]), SHOWN[cell].tolist(), own)
        assert int(visible.valid[cell].sum()) == len(wanted)
        for row, place in enumerate(visible.index[cell].tolist()):
            if visible.valid[cell, row]:
                np.testing.assert_allclose(array(found[cell, row]), wanted[place], atol=1e-5)


def test_a_masked_neighbour_is_the_blank_and_what_lies_under_the_mask_is_not_seen(scene):
    _, module, grid, visible = scene
    before = module(visible.take(grid), visible)
    other = torch.where(SHOWN.unsqueeze(2), grid, 99.0)
    torch.testing.assert_close(module(visible.take(other), visible), before)
    with torch.no_grad():
        module.blank.add_(1.0)
    after = module(visible.take(grid), visible)
    # Cell 0: position 3 has a masked neighbour, 0 and 1 are neighbours of one another.
    assert not torch.allclose(after[0, 2], before[0, 2])
    torch.testing.assert_close(after[0, :2], before[0, :2])
    torch.testing.assert_close(after[2], before[2])


def test_s_and_m_of_equation_4_equal_numpy_and_m_of_a_token_is_the_mean_over_scales(scene):
    net, _, grid, visible = scene
    block = net.main.encoder.blocks[-1]
    tokens = visible.take(grid)
    found = net.salience(tokens, visible)
    normed = array(block.before(grid))
    for cell in range(3):
        shown = SHOWN[cell].tolist()
        by_scale = []
        for place, c in enumerate((1, 2)):
            q, k, _ = queries_keys_values(block.attention, normed[cell], shown, place)
            s = np.zeros(len(q[0]))
            for head in range(2):
                for group in range(len(s)):
                    dots = [q[head][group] @ key / np.sqrt(len(key)) for key in k[head]]
                    s[group] += np.mean(dots) / 2
            standard = (s - s.mean()) / s.std()
            theta = array(net.light.threshold)[place]
            m = 1 / (1 + np.exp(-5.0 * (standard - theta)))
            np.testing.assert_allclose(array(found[place][cell]), m, atol=1e-5)
            by_scale.append([m[i // c] for i in range(5)])
        np.testing.assert_allclose(
            array(net.by_token(found)[cell]), np.mean(by_scale, axis=0), atol=1e-5
        )


def test_completion_is_the_mean_over_cells_of_the_mean_error_of_masked_measured_genes(small):
    net, batch = small.net(), small.batch(3, missing=(4, 9, 16))
    x = batch.x["rna"]
    _, tokens, shown = net.look(x)
    visible = SHOWN & shown
    found = completion_loss(net, x, tokens, shown, visible)
    _, after, _, packed = net.encode(tokens, visible)
    predicted = array(net.main.decoder(after, packed))
    errors = [[], [], []]
    for cell in range(3):
        for gene in range(18):
            token, place = divmod(gene, 4)
            if not visible[cell, token] and not torch.isnan(x[cell, gene]):
                error = predicted[cell, token, place] - float(x[cell, gene])
                errors[cell].append(error**2)
    # Cell 0 hides token 2 (3 measured genes); cell 1 tokens 0, 3 and 4 (4 + 4 + 1 of 2 genes).
    assert [len(own) for own in errors] == [3, 9, 0]
    wanted = (np.mean(errors[0]) + np.mean(errors[1])) / 3
    assert found.item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("projection", ["own", "shared"])
def test_tokens_are_linear_maps_of_4_genes_scaled_up_for_the_genes_not_seen(small, projection):
    net, batch = small.net(projection=projection), small.batch(2, missing=(0, 1, 12, 13, 14, 15))
    module = net.main.tokens
    assert module.weight.shape[0] == (5 if projection == "own" else 1)
    x = array(batch.x["rna"])
    _, tokens, shown = net.look(batch.x["rna"])
    assert shown.tolist() == [[True, True, True, False, True]] * 2
    for cell in range(2):
        for place in (0, 1, 2, 4):
            genes = x[cell, 4 * place : 4 * place + 4]
            seen = ~np.isnan(genes)
            weight = array(module.weight)[place if projection == "own" else 0][: len(genes)]
            total = sum(genes[i] * weight[i] for i in np.flatnonzero(seen))
            wanted = total * len(genes) / seen.sum() + array(module.position)[place]
            np.testing.assert_allclose(array(tokens[cell, place]), wanted, atol=1e-5)
