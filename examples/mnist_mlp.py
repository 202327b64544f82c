"""A multilayer perceptron learns MNIST: 784-128-64-10, Adam, cross-entropy.

python examples/mnist_mlp.py --data DIR [--quick]
"""

from common import accuracy, arguments, draw, part, train

import fastnn as torch
import fastnn.nn as nn
import fastnn.nn.functional as F
from fastnn.vision import datasets, transforms


class MLP(nn.Module):
    """Three dense layers."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        """Images (N, 784) to logits (N, 10)."""
        x = x.view(-1, 784)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


def main():
    """Train and report."""
    args = arguments(__doc__, epochs=10)
    train_dataset = datasets.MNIST(
        root=args.data, train=True, download=True, transform=transforms.ToTensor()
    )
    test_dataset = datasets.MNIST(
        root=args.data, train=False, download=True, transform=transforms.ToTensor()
    )
    train_dataset = part(train_dataset, args.quick, 10000)
    train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=64, shuffle=True)
    test_loader = torch.utils.data.DataLoader(test_dataset, batch_size=64, shuffle=False)

    model = MLP()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

    def step(images, labels):
        images = images.view(-1, 784)
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    epochs = 2 if args.quick else args.epochs
    losses, accuracies = train(train_loader, epochs, step, lambda: accuracy(model, test_loader))
    draw(args.out / "mnist_mlp.png", losses, accuracies)


if __name__ == "__main__":
    main()
