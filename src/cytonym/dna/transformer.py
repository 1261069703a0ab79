"""The Nucleotide Transformer (Dalla-Torre et al., Nature Methods 2025) as an embedder of DNA.

Weights are not part of this package (their licence is CC-BY-NC-SA-4.0): the user gives a folder
with ``config.json``, ``vocab.txt`` and ``model.safetensors``, or the name of a repository of the
Hugging Face hub. Version 1 is a plain ESM model of the library transformers; version 2 needs the
code that lies beside its weights, which is run only where the user allows that folder: a model of
cells names its checkpoint, and who made it may have put the code there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from cytonym.errors import DataError, Problem, install
from cytonym.fetching import offline

WORD = 6
"""Bases of a token."""

CODE = "CYTONYM_CODE"
"""The variable that names the folder of a checkpoint whose own code may run."""

_COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class NucleotideTransformer:
    """Mean of a layer's states over the words of six bases of a sequence.

    Attributes
    ----------
    checkpoint
        A folder, or the name of a repository of the hub.
    window
        Bases around the middle of a peak; a multiple of six leaves no single letters.
    layer
        Which states: -1 the last layer's, 0 those before the first.
    keep_start
        Whether the state of the start token counts in the mean.
    both_strands
        Whether the mean of a sequence and its reverse complement is taken: the model does not
        give both the same.
    half
        Whether to compute in float16.
    """

    checkpoint: str
    window: int = 1002
    layer: int = -1
    keep_start: bool = False
    both_strands: bool = False
    half: bool = False
    batch_size: int = 16

    @property
    def name(self) -> str:
        """Checkpoint by the checksum of its weights, and all that changes the numbers."""
        return (
            f"nucleotide transformer {self.checksum} layer={self.layer} window={self.window} "
            f"start={self.keep_start} strands={1 + self.both_strands} half={self.half}"
        )

    @cached_property
    def folder(self) -> Path:
        """Where the checkpoint lies; fetched from the hub, where allowed.

        Raises
        ------
        DataError
            transformers is not installed, no such folder or repository, or a file is missing.
        """
        try:
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import (
                HfHubHTTPError,
                HFValidationError,
                LocalEntryNotFoundError,
            )
        except ModuleNotFoundError as error:
            problem = Problem("transformers is not installed", install("dna"))
            raise DataError(problem, subject=self.checkpoint) from error
        folder = Path(self.checkpoint).expanduser()
        if not folder.is_dir():
            try:
                found = snapshot_download(self.checkpoint, local_files_only=offline())
            except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
                what = (
                    f"there is no such folder, and the hub did not give it ({type(error).__name__})"
                )
                remedy = "download the checkpoint and give its folder"
                raise DataError(Problem(what, remedy), subject=self.checkpoint) from error
            folder = Path(found)
        missing = [one for one in ("config.json", "vocab.txt") if not (folder / one).is_file()]
        if not any(folder.glob("*.safetensors")):
            missing.append("model.safetensors")
        if missing:
            problem = Problem(f"it lacks {', '.join(missing)}", "download the whole checkpoint")
            raise DataError(problem, subject=self.checkpoint)
        return folder

    @cached_property
    def checksum(self) -> str:
        """Of weights, configuration and vocabulary."""
        digest = hashlib.sha256()
        names = ("config.json", "vocab.txt")
        for path in (
            *(self.folder / name for name in names),
            *sorted(self.folder.glob("*.safetensors")),
        ):
            with path.open("rb") as file:
                while block := file.read(2**22):
                    digest.update(block)
        return digest.hexdigest()[:16]

    def check(self) -> None:
        """Whether the model has the layer, and places for the window, before it reads anything.

        Raises
        ------
        DataError
            It has not, the checkpoint cannot be found, or its own code is not allowed.
        """
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        if "auto_map" in config:
            self._check_code()
        layers, places = config["num_hidden_layers"], config["max_position_embeddings"] - 2
        problems = []
        if not -layers - 1 <= self.layer <= layers:
            what = f"it has {layers} layers, and layer={self.layer} is asked for"
            problems.append(Problem(what, f"take {-layers - 1} to {layers}"))
        words, letters = divmod(self.window, WORD)
        if words + letters + 1 > places:
            what = f"a window of {self.window:,} bases has more tokens than the {places:,} it reads"
            problems.append(Problem(what, f"take at most {WORD * (places - 1):,} bases"))
        if problems:
            raise DataError(problems, subject=self.checkpoint)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Tokens and their numbers, as the checkpoint has them."""
        lines = (self.folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        return {word: number for number, word in enumerate(lines) if word}

    def tokens(self, sequence: str) -> list[int]:
        """Start token, then words of six bases from the left; single letters where none fits."""
        return tokenise(sequence, self.vocabulary)

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """``(sequences, width)`` float32, in order.

        Raises
        ------
        DataError
            A sequence has more tokens than the model has places.
        """
        model = self._model()
        both = [one.upper() for one in sequences]
        if self.both_strands:
            both += [one.translate(_COMPLEMENT)[::-1] for one in both]
        coded = [self.tokens(one) for one in both]
        most = int(model.config.max_position_embeddings) - 2
        if (longest := max(map(len, coded), default=0)) > most:
            what = f"a sequence has {longest:,} tokens, and the model reads {most:,}"
            problem = Problem(what, f"take a window of at most {WORD * (most - 1):,} bases")
            raise DataError(problem, subject=self.checkpoint)
        order = np.argsort([len(one) for one in coded], kind="stable")
        out = np.empty((len(coded), model.config.hidden_size), dtype=np.float32)
        device = next(model.parameters()).device
        bar = tqdm(total=len(coded), desc="DNA model", unit="peak", disable=not progress)
        with bar, torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                ids, there = self._padded([coded[row] for row in rows])
                states = self._states(model, ids.to(device), there.to(device))
                out[rows] = states.float().cpu().numpy()
                bar.update(len(rows))
        n = len(sequences)
        return (out[:n] + out[n:]) / 2 if self.both_strands else out

    def _padded(self, coded: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        width = max(map(len, coded))
        ids = torch.full((len(coded), width), self.vocabulary["<pad>"])
        there = torch.zeros(len(coded), width, dtype=torch.int64)
        for row, one in enumerate(coded):
            ids[row, : len(one)] = torch.tensor(one)
            there[row, : len(one)] = 1
        return ids, there

    def _states(self, model: Any, ids: Tensor, there: Tensor) -> Tensor:
        said = model(input_ids=ids, attention_mask=there, output_hidden_states=True)
        counted = there.clone()
        if not self.keep_start:
            counted[:, 0] = 0
        weight = counted[..., None].to(said.hidden_states[self.layer].dtype).float()
        return (said.hidden_states[self.layer].float() * weight).sum(1) / weight.sum(1).clamp_min(1)

    def _check_code(self) -> None:
        """A DataError where nobody allowed the code in the folder of the checkpoint."""
        allowed = os.environ.get(CODE, "")
        if not allowed or Path(allowed).expanduser().resolve() != self.folder.resolve():
            problem = Problem(
                "it comes with code of its own, which would run here",
                f"download it, look at its code, and allow its folder: {CODE}=FOLDER",
            )
            raise DataError(problem, subject=self.checkpoint)

    def _model(self) -> Any:
        """The network, in eval mode, on a GPU where there is one."""
        import transformers

        dtype = torch.float16 if self.half else torch.float32
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        with _quiet(transformers):
            if "auto_map" in config:
                self._check_code()
                model: Any = transformers.AutoModelForMaskedLM.from_pretrained(
                    self.folder, trust_remote_code=True, dtype=dtype, use_safetensors=True
                )
            else:
                model = transformers.EsmModel.from_pretrained(
                    self.folder, add_pooling_layer=False, dtype=dtype, use_safetensors=True
                )
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return model.eval().to(device)


def tokenise(sequence: str, vocabulary: Mapping[str, int]) -> list[int]:
    """Token numbers of a sequence: see :meth:`NucleotideTransformer.tokens`."""
    out, at, text = [vocabulary["<cls>"]], 0, sequence.upper()
    unknown = vocabulary["<unk>"]
    while at < len(text):
        word = vocabulary.get(text[at : at + WORD]) if at + WORD <= len(text) else None
        if word is not None:
            out.append(word)
            at += WORD
        else:
            out.append(vocabulary.get(text[at], unknown))
            at += 1
    return out


@contextmanager
def _quiet(transformers: Any) -> Any:
    """No reports of the library on weights that are not used (the head of the language model)."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
