"""The layer of connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

from ..ops.ctc import ctc_loss
from ..tensor import Tensor
from .loss import _Loss


class CTCLoss(_Loss):
    """The negative log-likelihood of label sequences under every alignment to frames; see ``functional.ctc_loss``.

    A. Graves et al., "Connectionist temporal classification", 2006.

    >>> import fastnn
    >>> frames = fastnn.zeros(2, 1, 3).log_softmax(2)
    >>> fastnn.nn.CTCLoss()(frames, fastnn.tensor([[1]]), [2], [1])
    tensor(1.0986)
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
    ) -> Tensor:
        """The loss of log-probabilities (T, N, C) against labels."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
