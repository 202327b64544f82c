"""LeNet learns CIFAR-10 with random crops and flips, SGD with momentum.

python examples/cifar_lenet.py --data DIR [--quick]
"""

from common import accuracy, arguments, draw, part, train

import fastnn as torch
import fastnn.nn as nn
import fastnn.nn.functional as F
from fastnn.vision import datasets, transforms


class Net(nn.Module):
    """Two convolutions, three dense layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        """Images (N, 3, 32, 32) to logits (N, 10)."""
        x = F.relu(self.pool(self.conv1(x)))
        x = F.relu(self.pool(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


def main():
    """Train and report."""
    args = arguments(__doc__, epochs=10)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    train_dataset = datasets.CIFAR10(
        root=args.data,
        train=True,
        download=True,
        transform=transforms.Compose([
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]),
    )  # fmt: skip
    test_dataset = datasets.CIFAR10(
        root=args.data,
        train=False,
        download=True,
        transform=transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)]),
    )
    train_dataset = part(train_dataset, args.quick, 5000)
    train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=128, shuffle=True)
    test_loader = torch.utils.data.DataLoader(test_dataset, batch_size=128, shuffle=False)

    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step(inputs, labels):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    epochs = 2 if args.quick else args.epochs
    losses, accuracies = train(train_loader, epochs, step, lambda: accuracy(model, test_loader))
    draw(args.out / "cifar_lenet.png", losses, accuracies)


if __name__ == "__main__":
    main()
