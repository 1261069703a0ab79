"""Small tables of which the regulation is known."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def planted():
    """200 metacells × 20 genes and 120 peaks on three chromosomes; gene i follows peak i.

    Genes 0 to 9 follow a peak each; the other genes, and peaks from 20 on, follow nothing.
    """
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((200, 10))
    rna = rng.standard_normal((200, 20))
    rna[:, :10] += 1.5 * drive
    atac = rng.standard_normal((200, 120))
    atac[:, :10] += 1.5 * drive
    peaks = pd.DataFrame(
        {
            "chrom": np.array(["chr1", "chr2", "chr3"])[np.arange(120) % 3],
            "start": np.arange(120) * 1000,
            "end": np.arange(120) * 1000 + 500,
        }
    )
    names = np.array([f"G{i}" for i in range(20)])
    pairs = pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(20) for _ in range(2)],
            "row": [row for i in range(20) for row in (i, i + 60)],
        }
    )
    pairs.insert(1, "peak", [f"p{row}" for row in pairs["row"]])
    return rna + 9, atac + 9, pairs, names, peaks["chrom"].to_numpy(), rng.random(120)
