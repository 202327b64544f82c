"""Two convolutional networks learn MNIST: log_softmax and negative log-likelihood, SGD with momentum.

    python examples/mnist_cnn_torch.py --data DIR [--net plain|dropout] [--lr LR] [--quick]

The net with dropout needs larger steps: at a learning rate of 0.001 it is at 91 % after ten epochs.
"""

from common import accuracy, arguments, draw, part, train

import fastnn as torch
import fastnn.nn as nn
import fastnn.nn.functional as F
import fastnn.optim as optim
from fastnn.utils.data import DataLoader
from fastnn.vision import transforms
from fastnn.vision.datasets import MNIST


class MNISTModel(nn.Module):
    """Two convolutions of 3x3, two dense layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(5 * 5 * 64, 256)
        self.fc2 = nn.Linear(256, 10)

    def forward(self, x):
        """Images (N, 1, 28, 28) to log-probabilities (N, 10)."""
        x = torch.relu(self.conv1(x))
        x = F.max_pool2d(x, 2)
        x = torch.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = x.view(-1, 5 * 5 * 64)
        x = torch.relu(self.fc1(x))
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


class Net(nn.Module):
    """Two convolutions of 5x5, whole channels dropped, two dense layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        """Images (N, 1, 28, 28) to log-probabilities (N, 10)."""
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


def options(parser):
    """The arguments of this example alone."""
    parser.add_argument("--net", choices=("plain", "dropout"), default="plain")
    parser.add_argument("--lr", type=float, help="default: 0.01 for plain, 0.05 for dropout")


def main():
    """Train and report."""
    args = arguments(__doc__, epochs=10, more=options)
    plain = args.net == "plain"
    lr = args.lr or (0.01 if plain else 0.05)
    train_dataset = MNIST(
        root=args.data, train=True, transform=transforms.ToTensor(), download=True
    )
    test_dataset = MNIST(
        root=args.data, train=False, transform=transforms.ToTensor(), download=True
    )
    train_dataset = part(train_dataset, args.quick, 10000)

    model = MNISTModel() if plain else Net()
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.5)
    criterion = nn.NLLLoss()

    train_loader = DataLoader(train_dataset, batch_size=64, shuffle=True)
    test_loader = DataLoader(test_dataset, batch_size=64, shuffle=False)

    def step(data, target):
        optimizer.zero_grad()
        output = model(data)
        loss = criterion(output, target)
        loss.backward()
        optimizer.step()
        return loss.item()

    epochs = 1 if args.quick else args.epochs
    losses, accuracies = train(train_loader, epochs, step, lambda: accuracy(model, test_loader))
    draw(args.out / f"mnist_cnn_torch_{args.net}.png", losses, accuracies)


if __name__ == "__main__":
    main()
