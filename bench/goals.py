"""What fastnn wants to reach against the best peer, and why rows fall short of it."""

from __future__ import annotations

import fnmatch
import statistics
from dataclasses import dataclass

from .measure import Result


@dataclass(frozen=True)
class Goal:
    """Ratios of the time of the best of some peers to fastnn's, in a group.

    Attributes:
        mean: their geometric mean.
        least: the least of the rows'.
        peers, rows: patterns of the peers' names and of the rows'.
        title: what the report calls it, if not as its group.
        why: what keeps the mean, or the least to some peers, below its goal, where it is.
    """

    mean: float | None = None
    least: float | None = None
    peers: str = "*"
    rows: str = "*"
    title: str = ""
    why: str = ""

    def ratios(self, results: list[Result]) -> list[float]:
        """The best peer's time over fastnn's, of the rows that have both."""
        return [
            r.ratio(best)
            for r in results
            if fnmatch.fnmatch(r.name, self.rows)
            and "fastnn" in r.seconds
            and (best := r.best_peer(self.peers))
        ]


GOALS: dict[str, list[Goal]] = {
    "gemm": [Goal(least=1.0)],
    "conv": [
        Goal(
            mean=2.0,
            least=1.0,
            why="Winograd, which saves multiplications, serves 3 x 3 alone; 1 x 1, 7 x 7 and grouped convolutions are at 54 to"
            " 88% of the FMA peak, like PyTorch's; of one to six channels, tiles begin and end for few terms",
        )
    ],
    "pool": [
        Goal(
            mean=5.0,
            why="2 x 2 windows move 34 to 82 GB/s, more than copies of large arrays (31 to 36), 3 x 3 windows of 51 MB half to"
            " three quarters of that",
        )
    ],
    "norm": [Goal(least=1.0)],
    "softmax": [Goal(least=1.0)],
    "elementwise": [Goal(least=1.0)],
    "reduction": [Goal(least=1.0)],
    "rnn": [Goal(mean=1.5, least=1.0)],
    "attention": [Goal(mean=1.5)],
    "training": [
        Goal(
            mean=3.0,
            least=1.5,
            why="steps of GPT, LSTM and BiLSTM are matrix products for half of the time and more, near the FMA peak, as"
            " PyTorch's are; of convolutional networks, Winograd's products and transforms",
        ),
        Goal(
            least=4.0,
            peers="torch eager",
            rows="MNIST MLP step, batch [16]*",
            title="training: MNIST MLP, batch 1 to 64, to torch eager",
            why="at batch 64 kernels alone, three quarters of the time and most of them matrix products, take about a"
            " quarter of PyTorch's",
        ),
    ],
    "inference": [
        Goal(mean=1.0),
        Goal(
            mean=3.0,
            peers="torch*",
            title="inference, to torch",
            why="LSTM, GPT and MLP are matrix products near the FMA peak for three quarters of the time and more;"
            " PyTorch's compiler has no Python between the kernels of one image",
        ),
    ],
}

# Of rows whose titles match the pattern; the first that does.
CAUSES: list[tuple[str, str]] = [
    ("overhead: import*", "NumPy's own import is two thirds of it"),
    ("gemm: *precision*", "only AMX gains by parts: without it the product is float32's own"),
    ("gemm: 256 x 256", "packing, each tile's beginning and end, and two threads that meet"),
    ("gemm: 512 x 512*", "of a Zen 4's time packing takes 4% for A and 2% for B; the rest beside the FMAs is each tile's beginning and end"),
    ("gemm: 257 x 257", "the last column takes a 33rd vector of each row, 3% of the time"),
    ("gemm: 4096 x 4096", "at 80 to 83% of the FMA peak, where OpenBLAS reaches 89 to 94%: not known yet; larger groups of packed panels changed nothing"),
    ("gemm: [1-4][0-9][0-9][0-9] x [1-4][0-9][0-9][0-9]", "on one thread 4% behind OpenBLAS: of a Zen 4's time each tile's beginning and end takes 5%, packing 3%"),
    ("gemm: 65 x 65", "a seventh of the kernel's time goes into the last column, which takes a vector of its own"),
    ("elementwise: three operations*", "three passes over memory, where PyTorch's compiler makes one"),
    ("training: MNIST MLP step, batch 256", "half of the time is products"),
    ("training: LSTM*", "nearly all of the time is products"),
    ("training: GPT*", "two thirds of the time are products near the FMA peak"),
    ("training: DCGAN*", "four fifths of the time are convolutions of 4 x 4 and their gradients, which Winograd does not serve"),
    ("training: BiLSTM*", "four fifths of the time are the layers' kernels, of which products are half and gates a tenth"),
    ("conv: (32, 3, 32, 32) to 32*stride 1, N??[CW]", "27 terms a sum: to begin and end its tile takes a fifth of the time"),
    ("conv: (128, 1, 28, 28) to 32*stride 1, N??[CW]", "its 11 MB of results, whose lines are read before they are written, pass at the memory's bandwidth"),
    ("conv: (8, 3, 112, 112)*NCHW", "a tenth of the time are copies to channels last and back"),
    ("conv: (8, 64, 56, 56)*NCHW", "packing takes a seventh (Zen 3) to a fifth (Zen 4) of the time"),
    ("inference: ResNet-20, batch 1", "nearly half of the time are Python's calls and small passes: batch norms, ReLUs and sums, which ONNX Runtime folds into its convolutions"),
    ("inference: ResNet-20*", "its blocks call layers one by one, whose batch norms, ReLUs and sums are passes of their own; ONNX Runtime folds them"),
    ("inference: MNIST CNN with log_softmax*", "it calls layers one by one, whose ReLUs and poolings are passes of their own"),
    ("inference: MNIST CNN, batch 1", "a quarter (Zen 4) to half (Zen 3) of the time are Python's calls, a twelfth (Zen 4) Winograd's weights, which are transformed at each call"),
    ("inference: MNIST CNN, batch 8", "a sixth of the time are Python's calls, and Winograd's weights are transformed at each call"),
    ("inference: MNIST MLP, batch 1", "Python's calls"),
    ("inference: MNIST MLP, batch 128", "four fifths of the time are products near the FMA peak; the rest is Python's calls and ReLUs of their own"),
    ("inference: LSTM language model, batch 1", "threads wait, and weights are packed at each call, for a third of the time"),
    ("inference: LSTM language model, batch 32", "four fifths of the time are the layers' products"),
    ("inference: GPT, batch 1", "three fifths of the time are products, a fifth to a quarter Python's calls between the kernels"),
    ("inference: GPT, batch 32", "three quarters of the time are products near the FMA peak"),
    ("inference: BiLSTM*", "four fifths of the time are the layers' kernels, whose weights are packed at each call"),
]  # fmt: skip


def of(group: str) -> list[Goal]:
    """A group's goals, the one to all peers first."""
    return GOALS.get(group, [Goal()])


def _least(result: Result) -> float:
    return of(result.group)[0].least or 1.0


def short(result: Result) -> bool:
    """Whether a row is below its group's least, or slower than a peer."""
    best = result.best_peer()
    return "fastnn" in result.seconds and best is not None and result.ratio(best) < _least(result)


def cause(result: Result) -> str:
    """Why the row falls short, as far as known."""
    for pattern, why in CAUSES:
        if fnmatch.fnmatch(result.title, pattern):
            return why
    best = result.best_peer()
    ratios = result.ratios(best) if best is not None else []
    if len(ratios) > 1 and statistics.quantiles(ratios, n=4, method="inclusive")[2] >= _least(
        result
    ):
        return "not told from the goal by these rounds, a quarter of which reach it"
    return "not known yet"
