#!/usr/bin/env python3
"""Makes python/fastnn/vision/_data from the original MNIST files: make_mnist_sample.py ROOT

ROOT holds MNIST/raw. Takes the first 600 training and 100 test images of each digit, in the original order.
"""

import sys
from pathlib import Path

import numpy as np

from fastnn.vision.datasets.idx import read_idx, write_idx

raw = Path(sys.argv[1], "MNIST", "raw")
folder = Path(__file__).resolve().parent.parent / "python" / "fastnn" / "vision" / "_data"

for split, count in (("train", 600), ("t10k", 100)):
    images = read_idx(raw / f"{split}-images-idx3-ubyte.gz")
    labels = read_idx(raw / f"{split}-labels-idx1-ubyte.gz")
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == d)[:count] for d in range(10)]))
    write_idx(folder / f"{split}-images-idx3-ubyte.gz", images[chosen])
    write_idx(folder / f"{split}-labels-idx1-ubyte.gz", labels[chosen])
