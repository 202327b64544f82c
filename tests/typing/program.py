"""A training program as a user writes it, checked by pyright in strict mode: every type must be known."""

from __future__ import annotations

import fastnn as torch
import fastnn.nn.functional as F
from fastnn import Tensor, nn
from fastnn.optim.lr_scheduler import StepLR
from fastnn.utils.data import DataLoader, Dataset, TensorDataset


class Residual(nn.Module):
    """Two dense layers around a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width) to (N, width)."""
        y: Tensor = self.first(x)
        y = F.gelu(y)
        y = self.second(y)
        return self.norm(x + y) * self.scale


class Squares(Dataset[tuple[Tensor, Tensor]]):
    """Numbers and their squares."""

    def __init__(self, count: int) -> None:
        self.x = torch.linspace(-1, 1, count).unsqueeze(1)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = self.x[index]
        return x, x.square()


def arithmetic(x: Tensor) -> Tensor:
    """Operators, methods, reductions, indexing, in-place writes."""
    y = (2 * x + 1) / 3 - x**2
    y = y.clamp(min=0).sum(dim=1, keepdim=True)
    values, indices = x.max(dim=1)
    top = torch.topk(x, 2)
    y = y + values.unsqueeze(1) + indices.float().unsqueeze(1) + top.values.mean()
    y[0] = 0.0
    y.add_(1.0).mul_(0.5)
    mask: Tensor = x > 0
    y = torch.where(mask.any(dim=1, keepdim=True), y, -y)
    z = torch.cat([y, y], dim=0).reshape(-1, 2).t()
    print(z.shape[0], z.size(), z.dtype, z.device, z.item() if z.numel() == 1 else z.tolist())
    return z @ z.t()


def main() -> None:
    """Train for a few steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), Residual(8), nn.Dropout(0.1), nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.5)
    criterion = nn.MSELoss()
    loader = DataLoader(Squares(64), batch_size=16, shuffle=True)
    for _epoch in range(2):
        for x, t in loader:
            optimizer.zero_grad()
            loss: Tensor = criterion(model(x), t)
            loss.backward()
            optimizer.step()
        scheduler.step()
    with torch.no_grad():
        pairs = TensorDataset(torch.randn(4, 3), torch.zeros(4))
        print(arithmetic(pairs[0][0].expand(4, 3).clone()), scheduler.get_last_lr())
    for name, parameter in model.named_parameters():
        print(name, parameter.shape, parameter.grad is not None)
    torch.save(model.state_dict(), "model.safetensors")


if __name__ == "__main__":
    main()
