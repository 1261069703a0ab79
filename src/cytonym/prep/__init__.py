"""Transforms from raw values to features, fitted on the reference, streamed in sparse blocks."""

from cytonym.prep.chain import bind_chain, chain_state, fit_chain, restore_chain
from cytonym.prep.components import Components
from cytonym.prep.inputs import Inputs, inputs
from cytonym.prep.normalise import Depth, Log1p
from cytonym.prep.panel import Panel
from cytonym.prep.peaks import Open, TfIdf
from cytonym.prep.rates import Centre, Sites
from cytonym.prep.scale import Scale, Weight
from cytonym.prep.smooth import Smooth
from cytonym.prep.trunk import SequenceCells

__all__ = [
    "Centre",
    "Components",
    "Depth",
    "Inputs",
    "Log1p",
    "Open",
    "Panel",
    "Scale",
    "SequenceCells",
    "Sites",
    "Smooth",
    "TfIdf",
    "Weight",
    "bind_chain",
    "chain_state",
    "fit_chain",
    "inputs",
    "restore_chain",
]
