"""Losses that several methods share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

Rebalance = Literal["none", "weights", "logits"]
"""Names of the ways in which :func:`balance` helps small types."""


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """What makes up for types of unequal size: ``(types,)`` float32 each, or None.

    ``weight`` multiplies a cell's loss, by its type; ``offset`` is added to the scores, in
    training alone.
    """

    weight: Tensor | None = None
    offset: Tensor | None = None


def balance(sizes: Sequence[int], how: Rebalance) -> Balance:
    """Help for small types, from the labelled cells of each.

    ``weights`` are those of scikit-learn's ``class_weight="balanced"``, n / (C · n_c);
    ``logits`` adds log n_c / n (Menon et al. 2021), so that the scores themselves need not
    hold how common a type is.
    """
    if how == "none":
        return Balance()
    counts = torch.tensor([max(size, 1) for size in sizes], dtype=torch.float32)
    if how == "weights":
        return Balance(weight=counts.sum() / (len(counts) * counts))
    return Balance(offset=(counts / counts.sum()).log())


def classification(
    scores: Float[Tensor, "cells types"],
    y: Int[Tensor, " cells"],
    *,
    even: Balance | None = None,
    smoothing: float = 0.0,
    whole: bool = False,
) -> Float[Tensor, ""]:
    """Mean cross-entropy over labelled cells; 0 where no cell has a label.

    ``even`` makes up for types of unequal size.
    With ``whole`` the sum is divided by all cells, which weighs a batch alike on all processes.
    """
    labelled = y >= 0
    weight = None
    if even is not None and even.offset is not None:
        scores = scores + even.offset.to(scores.device)
    if even is not None and even.weight is not None:
        weight = even.weight.to(scores)
    total = F.cross_entropy(
        scores, y.clamp_min(0), weight=weight, reduction="none", label_smoothing=smoothing
    )
    return (total * labelled).sum() / (len(y) if whole else labelled.sum().clamp_min(1))


def ridge(
    weight: Float[Tensor, "types features"], penalty: float, n_cells: int
) -> Float[Tensor, ""]:
    """The penalty of scikit-learn's LogisticRegression with C = 1 / ``penalty``, a cell's share:
    ``penalty · ‖W‖² / 2n``.
    """
    return penalty * weight.square().sum() / (2 * n_cells)


def logistic(
    linear: nn.Linear,
    x: Float[Tensor, "cells features"],
    y: Int[Tensor, " cells"],
    *,
    penalty: float,
    n_cells: int,
    even: Balance,
) -> dict[str, Tensor]:
    """Loss of logistic regression: ``total``, and ``linear`` without its penalty (convex)."""
    fit = classification(linear(x), y, even=even, whole=True)
    return {"total": fit + ridge(linear.weight, penalty, n_cells), "linear": fit.detach()}


def classification_bce(
    scores: Float[Tensor, "cells types"], y: Int[Tensor, " cells"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy of each type on softmax outputs, summed over types (SCTrans Eq. 6)."""
    labelled = y >= 0
    truth = F.one_hot(y.clamp_min(0), scores.shape[1]).to(scores.dtype)
    chance = scores.float().softmax(1).clamp(1e-7, 1 - 1e-7)
    total = -(truth * chance.log() + (1 - truth) * (1 - chance).log()).sum(1)
    return (total * labelled).sum() / labelled.sum().clamp_min(1)


def _pairs(z: Tensor, y: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """cos/τ of all pairs, which are of the same type, and which are of another (labelled only)."""
    unit = F.normalize(z.float(), dim=1)
    alike = unit @ unit.T / temperature
    both = (y >= 0)[:, None] & (y >= 0)[None, :]
    same = y[:, None] == y[None, :]
    itself = torch.eye(len(y), dtype=torch.bool, device=y.device)
    return alike, both & same & ~itself, both & ~same


def supervised_contrast(
    z: Float[Tensor, "cells dim"], y: Int[Tensor, " cells"], *, temperature: float
) -> Float[Tensor, ""]:
    """SupCon (Khosla et al. 2020): mean over partners p of -log(e^{s_jp} / Σ_{k≠j} e^{s_jk}).

    Cells without a partner of their type are passed over; 0 where none has one.
    """
    alike, positive, negative = _pairs(z, y, temperature)
    log_all = alike.masked_fill(~(positive | negative), -torch.inf).logsumexp(1)
    partners = positive.sum(1)
    anchor = partners > 0
    pull = torch.where(positive, alike, 0.0).sum(1)[anchor] / partners[anchor]
    return (log_all[anchor] - pull).sum() / anchor.sum().clamp_min(1)


def contrast_eq8(
    z: Float[Tensor, "cells dim"], y: Int[Tensor, " cells"], *, temperature: float
) -> Float[Tensor, ""]:
    """SCTrans Eq. 8 as printed: only negatives below, a sum over positives above.

    Cells that lack either kind of partner are passed over; the value may be negative.
    """
    alike, positive, negative = _pairs(z, y, temperature)
    anchor = positive.any(1) & negative.any(1)
    above = alike.masked_fill(~positive, -torch.inf)[anchor].logsumexp(1)
    below = alike.masked_fill(~negative, -torch.inf)[anchor].logsumexp(1)
    return (below - above).sum() / anchor.sum().clamp_min(1)


def distillation(
    student: Float[Tensor, "cells types"], teacher: Float[Tensor, "cells types"]
) -> Float[Tensor, ""]:
    """KL(teacher || student) between two sets of scores, mean over cells (SCTrans Eq. 7)."""
    return F.kl_div(
        student.float().log_softmax(1),
        teacher.float().log_softmax(1),
        reduction="batchmean",
        log_target=True,
    )
