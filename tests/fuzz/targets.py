"""What is fuzzed: for each format a small true file, and what reads it.

A reader may answer, or raise a ``CytonymError``; anything else is a find. ``python
tests/fuzz/targets.py FORMAT SECONDS [SEED]`` changes files at random for so long;
``atheris_target.py`` lets libFuzzer choose the changes.
"""

from __future__ import annotations

import gzip
import io
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import mudata
import numpy as np
import pandas as pd
import torch

from cytonym.bundle import Bundle, read_bundle, write_bundle
from cytonym.data.fragments import count_fragments
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.dna.genome import peak_sequences
from cytonym.dna.motifs import read_motifs
from cytonym.errors import CytonymError
from cytonym.regulation.genes import read_genes


@dataclass(frozen=True)
class Target:
    """A format: its ending, a true file, and what reads one."""

    ending: str
    example: Callable[[], bytes]
    read: Callable[[Path], object]


def ask(target: Target, data: bytes) -> str:
    """Give ``data`` to the reader: ``read`` or ``refused``; anything else is raised."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"file{target.ending}"
        path.write_bytes(data)
        before = sorted(Path(folder).rglob("*"))
        try:
            target.read(path)
        except CytonymError:
            return "refused"
        finally:
            left = [one for one in Path(folder).rglob("*") if one not in before]
            assert all(one.suffix == ".fai" for one in left), left
    return "read"


# --- true files --------------------------------------------------------------------------------


def written(ending: str, write: Callable[[Path], object]) -> bytes:
    """What ``write`` puts into a file."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"file{ending}"
        write(path)
        return path.read_bytes()


def h5ad(path: Path) -> None:
    simulate(30, 60, 2, seed=0).write_h5ad(path)


def h5mu(path: Path) -> None:
    parts = simulate_multiome(30, 60, 2, seed=0, n_peaks=40)
    mudata.MuData(parts).write_h5mu(path)


def tenx(path: Path) -> None:
    cells = simulate(30, 60, 2, seed=0)
    x = cells.X.T.tocsc()
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(x, name)
        matrix["shape"] = np.array(x.shape)
        matrix["barcodes"] = np.array([*cells.obs_names], dtype="S")
        for name, values in {
            "id": cells.var_names,
            "name": cells.var_names,
            "feature_type": ["Gene Expression"] * 60,
            "genome": ["GRCh38"] * 60,
        }.items():
            matrix[f"features/{name}"] = np.array([*values], dtype="S")


MEME = b"""MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0001.1 ONE
letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0
 0.1 0.2 0.3 0.4
 0.7 0.1 0.1 0.1
MOTIF MA0002.1 TWO
letter-probability matrix: alength= 4 w= 1 nsites= 20 E= 0
 0.25 0.25 0.25 0.25
"""
FASTA = b">chr1 one\n" + b"ACGTNACGTA\n" * 20 + b">chr2\n" + b"TTGCA\n" * 8
FRAGMENTS = b"# a head\n" + b"".join(
    b"chr1\t%d\t%d\tAAAC-%d\t1\n" % (place, place + 60, place % 5) for place in range(0, 900, 30)
)
GENES = b"chr1\t10\t50\tONE\t0\t+\nchr2\t1\t9\tTWO\t0\t-\n"
PEAKS = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [3, 1], "end": [60, 20]})


def model() -> bytes:
    """A model folder as a container: its three files, one after the other, with their lengths."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        facts = {"method": "linear", "version": "0.1", "options": {"genes": 3}}
        arrays = {"a": np.arange(9.0), "names": np.array(["one", "two"])}
        write_bundle(path, Bundle(facts, {"w": torch.ones(3, 2)}, arrays))
        parts = [one.read_bytes() for one in sorted(path.iterdir())]
    return b"".join(len(one).to_bytes(4, "little") + one for one in parts)


# --- what reads them ---------------------------------------------------------------------------


def cells(path: Path) -> None:
    found = open_cells(path)
    for modality in found.spaces:
        found.read(modality, np.arange(len(found)))


def fragments(path: Path) -> None:
    count_fragments(path, PEAKS, min_fragments=1, progress=False)


def folder(path: Path) -> None:
    data = path.read_bytes()
    with tempfile.TemporaryDirectory() as place:
        for name in ("features.npz", "manifest.json", "weights.safetensors"):
            size = int.from_bytes(data[:4], "little")
            Path(place, name).write_bytes(data[4 : 4 + size])
            data = data[4 + size :]
        read_bundle(Path(place))


TARGETS: dict[str, Target] = {
    "h5ad": Target(
        ".h5ad", lambda: written(".h5ad", simulate(30, 60, 2, seed=0).write_h5ad), cells
    ),
    "h5mu": Target(".h5mu", lambda: written(".h5mu", h5mu), cells),
    "10x": Target(".h5", lambda: written(".h5", tenx), cells),
    "meme": Target(".meme", lambda: MEME, read_motifs),
    "fasta": Target(".fa", lambda: FASTA, lambda path: [*peak_sequences(path, PEAKS)]),
    "fragments": Target(".tsv.gz", lambda: gzip.compress(FRAGMENTS), fragments),
    "plain fragments": Target(".tsv", lambda: FRAGMENTS, fragments),
    "genes": Target(".bed", lambda: GENES, read_genes),
    "model": Target("", model, folder),
}


# --- changes -----------------------------------------------------------------------------------


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes flipped, cut out, doubled, or put elsewhere."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, max(len(out), 1)))
        end = at + int(rng.integers(1, 40))
        kind = rng.integers(0, 6)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = out[at:end]
        elif kind == 3:
            out[at:end] = rng.bytes(end - at)
        elif kind == 4:
            out = out[:at] if rng.random() < 0.2 else out
        else:
            word = [b"-1", b"nan", b"inf", b"9" * 30, b"\t", b"\n", b"\x00", b"\xff\xfe", b"1e999"]
            out[at:end] = word[int(rng.integers(0, len(word)))]
    return bytes(out)


def rebuilt(data: bytes, rng: np.random.Generator) -> bytes:
    """An HDF5 file that is whole, of which a part is something else."""
    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(int(rng.integers(1, 3))):
            name = names[int(rng.integers(0, len(names)))]
            if name not in file:
                continue
            one, kind = file[name], rng.integers(0, 4)
            if kind == 0:
                del file[name]
            elif kind == 1 and len(one.attrs):
                key = [*one.attrs][int(rng.integers(0, len(one.attrs)))]
                del one.attrs[key]
                if rng.random() < 0.7:
                    one.attrs[key] = odd(rng)
            else:
                n = one.shape[0] if isinstance(one, h5py.Dataset) and one.shape else 3
                del file[name]
                file[name] = odd(rng, max(int(n + rng.integers(-2, 3)), 0))
    return held.getvalue()


def odd(rng: np.random.Generator, n: int = 2) -> Any:
    """A value that is not expected."""
    values = [
        rng.integers(-3, 60, n),
        rng.normal(size=n),
        np.full(n, np.nan),
        np.array([b"x"] * n),
        np.array([b"\xff\xfe"] * n),
        rng.integers(0, 2, n).astype(bool),
        rng.normal(size=(n, 2)),
        np.array(7),
        "word",
        np.full(n, 2**62),
        h5py.Empty("f8"),
    ]
    return values[int(rng.integers(0, len(values)))]


def main() -> None:
    """Change and read for some seconds; stop at the first find and keep the file."""
    name, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    target, said, end = TARGETS[name], Counter[str](), time.monotonic() + seconds
    example, rng = target.example(), np.random.default_rng(seed)
    assert ask(target, example) == "read"
    while time.monotonic() < end:
        whole = name in ("h5ad", "h5mu", "10x") and rng.random() < 0.7
        data = rebuilt(example, rng) if whole else changed(example, rng)
        begin = time.monotonic()
        try:
            said[ask(target, data)] += 1
        except BaseException:
            Path(f"find-{name}-{seed}-{said.total()}{target.ending}").write_bytes(data)
            raise
        assert time.monotonic() - begin < 20, "it hung"
    print(name, dict(said))  # noqa: T201


if __name__ == "__main__":
    main()
