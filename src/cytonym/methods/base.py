"""What a method is: a record of facts and a few short functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from cytonym.errors import OptionError
from cytonym.options import Options
from cytonym.types import Batch, Output, Salience, Stage, Step, Transform

Opts = TypeVar("Opts", bound=Options)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a method asks of the data.

    ``modalities`` are those read; query columns are matched with the reference's
    (``"shared"``) unless :meth:`Method.own` says otherwise. ``counts`` is True where
    logged values, undone, will not do. ``labels`` is False where a fit needs none: the method is
    then fitted once, and the cells held out say when to stop. With ``optional`` a data set, or a
    cell, may lack modalities, as long as it has one; but a reference has exactly one of each
    group of ``together``, in the same cells. With ``query`` the cells of a query that is given to
    the fit are learned from too, without labels.
    """

    modalities: Mapping[str, Literal["shared"]] = field(default_factory=lambda: {"rna": "shared"})
    counts: bool = False
    labels: bool = True
    optional: bool = False
    together: tuple[tuple[str, ...], ...] = ()
    query: bool = False


class Method(ABC, Generic[Opts]):
    """A stateless recipe: what is learned lives in the network and in the transforms."""

    name: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[Needs]
    Options: ClassVar[type[Options]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    compiles: ClassVar[bool] = False
    """Whether the network has parts that are worth ``torch.compile``."""

    def candidates(self, options: Opts) -> Sequence[Opts]:
        """Options with every ``auto`` decided, one record for each way to decide it.

        Where there is more than one, a linear probe under the same transforms, cross-validated
        inside the reference, picks.
        """
        return (options,)

    @abstractmethod
    def features(self, options: Opts) -> Mapping[str, tuple[Transform, ...]]:
        """Fresh transforms for each modality, in order."""

    def settled(self, options: Opts, sizes: Sequence[int]) -> Opts:
        """Options with what goes by the labelled cells of each type decided, once for all fits."""
        return options

    def quick(self, options: Opts) -> Opts | None:
        """Options with which the same weights name cells with less work, nearly alike; None where
        there are none.
        """
        return None

    def own(self, options: Opts) -> frozenset[str]:
        """Modalities whose columns stay each data set's own: the transforms bind to any."""
        return frozenset()

    def targets(self, options: Opts) -> Mapping[str, int]:
        """After how many transforms a modality has the features whose raw values are in
        ``Batch.counts``. After all of them, the network reads these alone: there is no ``Batch.x``.
        """
        return {}

    @abstractmethod
    def build(self, widths: Mapping[str, int], n_types: int, options: Opts) -> nn.Module:
        """The network for ``widths``: features by modality, and under ``counts_<modality>`` the
        columns of the counts that it asked for.
        """

    @abstractmethod
    def stages(self, options: Opts, sizes: Sequence[int]) -> Sequence[Stage]:
        """How the network is trained; ``sizes`` are the labelled cells of each type.

        A stage whose cells need no label has the loss on held-out cells as its score.
        """

    @abstractmethod
    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """What the network says about a batch (in eval mode)."""


def with_weights(
    method: Method[Opts],
    options: Opts,
    widths: Mapping[str, int],
    n_types: int,
    weights: Mapping[str, Tensor],
) -> nn.Module:
    """A network that holds ``weights``, as its ``state_dict`` names them; in eval mode."""
    net = method.build(widths, n_types, options)
    net.load_state_dict(dict(weights))
    return net.eval()


def check_compiles(method: Method) -> None:
    """An OptionError where nothing of the network is worth ``torch.compile``."""
    if not method.compiles:
        raise OptionError(
            f"{method.name} has no part that is worth compiling; leave out compile (--compile)."
        )


def part(name: str) -> Callable[[nn.Module], nn.Module]:
    """The sub-module called ``name``, as a :class:`cytonym.types.Step` asks for it."""
    return lambda net: net.get_submodule(name)


def solved(name: str, steps: Sequence[Step], n_cells: int, *, batch_size: int = 8192) -> Stage:
    """A stage for L-BFGS: exact where one batch holds all cells, else the mean over batches."""
    average = 0.9 if n_cells > batch_size else 0.0
    return Stage(name, tuple(steps), 1, batch_size, average=average)


@runtime_checkable
class Explains(Protocol):
    """A method that can say which features decided."""

    def salience(self, net: nn.Module, batch: Batch) -> Salience | None:
        """Shares of the score of each cell's type: that of ``batch.y`` where given, else the
        predicted one. None where the network, by its options, cannot say.
        """
        ...


@runtime_checkable
class Completes(Protocol):
    """A method that can fill in what was not measured."""

    def complete(self, net: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """By modality ``(cells, features)``: what is measured as given, the rest filled in."""
        ...


@runtime_checkable
class Views(Protocol):
    """A method with an embedding of each modality beside the joint one."""

    def views(self, net: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """By modality ``(cells, dim)`` float32; NaN in cells that lack it."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A method that can say what a modality looks like without noise, from itself or another."""

    def latent(self, net: nn.Module, batch: Batch, source: str) -> Tensor:
        """``(cells, dim)`` float32: what ``source`` (a modality, or ``joint``) says of the cell."""
        ...

    def decode(
        self, net: nn.Module, latent: Tensor, target: str, features: Tensor | None = None
    ) -> Tensor:
        """``(cells, features)`` float32 of the modality ``target``, all or those asked for (int):
        shares of a cell's counts, probabilities of being open, or rates.
        """
        ...
