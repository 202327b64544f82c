"""Trained weights: there are none to download, and asking for some is an error."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def refuse_weights(model: str, weights: Any, options: dict[str, Any]) -> None:
    """Raises unless no trained weights are asked for.

    Raises:
        NotImplementedError: ``weights`` is given, or the older ``pretrained=True``.
    """
    pretrained = options.pop("pretrained", False)
    if weights is not None or pretrained:
        asked = f"weights={weights!r}" if weights is not None else "pretrained=True"
        raise NotImplementedError(
            f"{model}: {asked}: no weights are downloaded. Save a state_dict from torchvision, and use "
            f"{model}(weights=None) and load_state_dict(fastnn.load(path))"
        )
