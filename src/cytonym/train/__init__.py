"""Training: one loop on Accelerate, its state on disk, and what it reports."""
