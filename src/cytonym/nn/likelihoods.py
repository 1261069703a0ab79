"""How probable counts, open peaks and rates are: log-likelihoods, and the KL of a Gaussian code.

All are computed in float32 (or more), whatever the autocast, and on the scale of logarithms.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from cytonym.types import SparseRows

SMALL = 1e-8


def exact(values: Tensor) -> Tensor:
    """In float32 at least: bfloat16 cannot tell likelihoods apart."""
    return values if values.dtype == torch.float64 else values.float()


def negative_binomial(
    x: Float[Tensor, "cells genes"],
    log_mean: Float[Tensor, "cells genes"],
    log_theta: Float[Tensor, "*cells genes"],
) -> Float[Tensor, "cells genes"]:
    """Log-probability of raw counts; variance = mean + mean² / θ."""
    log_mean, log_theta = exact(log_mean), exact(log_theta)
    theta = log_theta.exp()
    # log θ/(θ+m) and log m/(θ+m), without either sum
    stay, leave = -F.softplus(log_mean - log_theta), -F.softplus(log_theta - log_mean)
    ways = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return theta * stay + x * leave + ways


def zero_inflated(
    x: Float[Tensor, "cells genes"],
    log_mean: Float[Tensor, "cells genes"],
    log_theta: Float[Tensor, "*cells genes"],
    drop: Float[Tensor, "cells genes"],
) -> Float[Tensor, "cells genes"]:
    """Log-probability of raw counts that are lost with probability ``sigmoid(drop)``."""
    drop = exact(drop)
    counted = negative_binomial(x, log_mean, log_theta)
    lost, kept = F.logsigmoid(drop), F.logsigmoid(-drop)
    return torch.where(x > 0, kept + counted, torch.logaddexp(lost, kept + counted))


def bernoulli(opened: SparseRows, logits: Float[Tensor, "cells peaks"]) -> Float[Tensor, " cells"]:
    """Log-probability of which peaks are open (any stored value above 0), summed over peaks.

    ``Σ_p y_p l_p - softplus(l_p)``: dense in the logits, sparse in the cells.
    """
    logits = exact(logits)
    cell = opened.cell()
    gain = logits[cell, opened.column] * (opened.value > 0)
    return logits.new_zeros(len(opened)).index_add(0, cell, gain) - F.softplus(logits).sum(1)


def squared_error(
    rates: SparseRows,
    mean: Float[Tensor, "cells sites"],
    *,
    mask: Literal["observed", "legacy"] = "observed",
) -> Float[Tensor, " cells"]:
    """Sum of (y - mean)² over the sites observed in a cell, which are those stored.

    It is the negative log-likelihood of a Gaussian of variance ½, less a constant. ``legacy``
    leaves out rates of 0, as the published code does.
    """
    mean = exact(mean)
    cell = rates.cell()
    error = (rates.value - mean[cell, rates.column]).square()
    if mask == "legacy":
        error = error * (rates.value > 0)
    return mean.new_zeros(len(rates)).index_add(0, cell, error)


def divergence(
    mean: Float[Tensor, "cells dim"],
    spread: Float[Tensor, "cells dim"],
    *,
    kl: Literal["standard", "legacy"] = "standard",
) -> Float[Tensor, " cells"]:
    """KL(N(mean, e^spread) || N(0, 1)), summed over dimensions; ``spread`` is a log-variance.

    ``legacy`` takes ``spread`` for the standard deviation here (and its absolute value in the
    logarithm), as the published code does, whose least values are at ±1.
    """
    mean, spread = exact(mean), exact(spread)
    if kl == "legacy":
        each = 0.5 * (spread.square() + mean.square() - 1) - (spread.abs() + SMALL).log()
    else:
        each = -0.5 * (1 + spread - mean.square() - spread.exp())
    return each.sum(1)
