"""Size of the page of ``cytonym report``, and the time to make it and to use it, by cells.

    python benchmarks/report_size.py --out FOLDER [--sizes 10000,100000] [--chromium PATH]

The answers are simulated (25 types of uneven size, 4 donors, known labels, prediction sets): what a
page holds does not depend on how the names were found. Making it is measured with the command in a
process of its own. Chromium, driven by Playwright, says when the page can first be used (the
filters answer) and how long one redraw and one filter take. A table goes to ``report_size.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.reproduce.tables import markdown

KEY, TYPES, DIM = "cell_type_pred", 25, 32
NAMES = (
    *("CD4+ T naive", "CD4+ T memory", "CD8+ T naive", "CD8+ T effector", "Treg", "NK CD56 dim"),
    *("NK CD56 bright", "B naive", "B memory", "Plasma cell", "CD14+ monocyte", "CD16+ monocyte"),
    *("cDC1", "cDC2", "pDC", "Platelet", "Erythrocyte", "HSC", "MAIT", "γδ T", "ILC", "Basophil"),
    *("Neutrophil", "Mast cell", "Macrophage"),
)


def main() -> None:
    """One row a size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--chromium", help="a browser that Playwright did not install itself")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in map(int, asked.sizes.split(",")):
        file, page = asked.out / f"named_{n}.h5ad", asked.out / f"report_{n}.html"
        answers(n, seed=0).write_h5ad(file)
        start = time.monotonic()
        words = ["report", file, "--out", page, "--truth", "cell_type"]
        subprocess.run([sys.executable, "-m", "cytonym", *words], check=True)
        row = {"cells": n, "seconds to make": time.monotonic() - start}
        row["MB"] = page.stat().st_size / 1e6
        if find_spec("playwright"):
            row |= used(page, asked.chromium)
        rows.append(row)
        file.unlink()
    table = pd.DataFrame(rows).round(3)
    (asked.out / "report_size.md").write_text(markdown(table) + "\n", encoding="utf-8")
    print(table.to_string(index=False))


def answers(n: int, *, seed: int) -> AnnData:
    """Cells as ``annotate`` leaves them, with a UMAP-like picture."""
    rng = np.random.default_rng(seed)
    share = np.sort(rng.dirichlet(np.full(TYPES, 0.8)))[::-1] + 0.002
    truth = rng.choice(TYPES, n, p=share / share.sum())
    logits = rng.normal(0, 1.2, (n, TYPES)) + 5 * np.eye(TYPES)[truth]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    sure, best = chances.max(1), chances.argmax(1)
    names = np.array(NAMES, dtype=object)
    said = np.where(sure < 0.35, "Unknown", names[best])
    angle, far = 2 * np.pi * np.arange(TYPES) / TYPES * 5, 3 + 9 * np.arange(TYPES) / TYPES
    middle = np.column_stack([far * np.cos(angle), far * np.sin(angle)])
    inside = [names[row > 0.1] for row in chances]
    barcode = rng.choice(list("ACGT"), (n, 12)).view("<U12").ravel()
    obs = pd.DataFrame(
        {
            KEY: pd.Categorical(said),
            f"{KEY}_confidence": sure.astype(np.float32),
            f"{KEY}_set": ["|".join(one) for one in inside],
            "donor": rng.choice(["d1", "d2", "d3", "d4"], n),
            "cell_type": pd.Categorical(names[truth]),
        },
        index=[f"{one}-{place}" for place, one in enumerate(barcode)],
    )
    cells = AnnData(np.zeros((n, 1), dtype=np.float32), obs)
    cells.obsm[f"{KEY}_probabilities"] = pd.DataFrame(
        chances.astype(np.float32), index=obs.index, columns=names
    )
    cells.obsm["X_umap"] = (middle[truth] + rng.normal(0, 0.8, (n, 2))).astype(np.float32)
    cells.uns[KEY] = {
        "method": "sctrans",
        "version": "0.1.0",
        "seed": 0,
        "options": "{}",
        "hash": "0" * 64,
        "types": np.array(NAMES),
        "coverage": {"rna": {"reference": 3000, "shared": 2874, "matched_by": "names → names"}},
        "notes": np.array(["X read as counts"]),
    }
    cells.uns[f"{KEY}_populations"] = pd.DataFrame(
        {
            "population": ["new 1", "new 2"],
            "cells": [212, 87],
            "markers": ["HBB, HBA1, ALAS2", "PPBP, PF4"],
            "nearest": ["Erythrocyte", "Platelet"],
        }
    )
    return cells


def used(page: Path, chromium: str | None) -> dict[str, float]:
    """Seconds until a filter answers, and milliseconds of a redraw and of a filter."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab: Any = browser.new_page(viewport={"width": 1440, "height": 900})
        start = time.monotonic()
        tab.goto(page.absolute().as_uri())
        tab.wait_for_selector("html[data-ready=true]")
        tab.click("#none")
        ready = time.monotonic() - start
        tab.click("#all")
        redraw = tab.evaluate(TIMED.format(act="canvas.dispatchEvent(press('+'))"))
        choose = tab.evaluate(TIMED.format(act="box.click()"))
        browser.close()
    return {"seconds to first filter": ready, "ms a redraw": redraw, "ms a filter": choose}


TIMED = """async () => {{
  const canvas = document.getElementById('canvas');
  const box = document.querySelector('#types input');
  const press = (key) => new KeyboardEvent('keydown', {{ key }});
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  let spent = 0;
  for (let turn = 0; turn < 10; turn++) {{
    await frame();
    const start = performance.now();
    {act};
    await frame();
    spent += performance.now() - start;
  }}
  return spent / 10;
}}"""


if __name__ == "__main__":
    main()
