"""Models of text, each built in the modules of any library with PyTorch's names."""

from __future__ import annotations

from typing import Any

VOCABULARY = 65  # the characters of tiny Shakespeare


def lstm(lib: Any) -> Any:
    """Embedding - two layers of LSTM 256 - Dense, on (N, T) characters; gives (N * T, 65)."""
    nn = lib.nn

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 64)
            self.lstm = nn.LSTM(64, 256, num_layers=2, batch_first=True)
            self.head = nn.Linear(256, VOCABULARY)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0]).flatten(0, 1)

    return Model()


def gpt(lib: Any) -> Any:
    """Two blocks of causal attention (4 heads) and an MLP, 128 wide, on (N, T <= 128) characters; gives (N * T, 65)."""
    nn, F = lib.nn, lib.nn.functional
    width, heads = 128, 4

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            qkv = self.qkv(self.norm1(x)).view(n, t, 3, heads, width // heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(n, t, width))
            return x + self.mlp(self.norm2(x))

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(VOCABULARY, width)
            self.position = nn.Parameter(lib.zeros(128, width))
            self.blocks = nn.Sequential(Block(), Block())
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCABULARY)

        def forward(self, x: Any) -> Any:
            x = self.token(x) + self.position[: x.shape[1]]
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)

    return Model()


def tagger(lib: Any) -> Any:
    """Embedding 100 - LSTM 128 in both directions - Dense 13, on (N, T) words; gives (N * T, 13)."""
    nn = lib.nn

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10_000, 100)
            self.lstm = nn.LSTM(100, 128, batch_first=True, bidirectional=True)
            self.head = nn.Linear(256, 13)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0]).flatten(0, 1)

    return Model()
