"""The four workloads: network, loss, batch size, and random data of the right shape and dtype.

Fulmen's side, `config/experiment/bench_<workload>.yaml`, must have the same networks; the number of parameters, which both
sides print, tells whether it has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Workload:
    batch_size: int
    network: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    # Number of samples → inputs and targets, samples first.
    data: Callable[[int], tuple[Tensor, Tensor]]


# --- mlp: 784-512-512-10, ReLU -----------------------------------------------------------------------------------------


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def mlp_data(samples: int) -> tuple[Tensor, Tensor]:
    return torch.randn(samples, 784), torch.randint(10, (samples,))


# --- resnet18: He et al. 2015 (arXiv:1512.03385), torchvision's shape with a 3×3 stem for 32×32 images ------------------


class BasicBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


def resnet18() -> nn.Module:
    stem = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    blocks = []
    channels_in = 64
    for channels, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        blocks += [BasicBlock(channels_in, channels, stride), BasicBlock(channels, channels, 1)]
        channels_in = channels
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def image_data(samples: int) -> tuple[Tensor, Tensor]:
    return torch.randn(samples, 3, 32, 32), torch.randint(10, (samples,))


# --- gpt: nanoGPT's block (pre-norm, GELU, 4× wide), 4 layers, 4 heads, width 256, context 128, 256 symbols -------------

LAYERS, HEADS, WIDTH, CONTEXT, SYMBOLS = 4, 4, 256, 128, 256


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def attention(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        heads = self.qkv(x).view(batch, time, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*heads.unbind(0), is_causal=True)
        return self.proj(mixed.transpose(1, 2).reshape(batch, time, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(SYMBOLS, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.ln = nn.LayerNorm(WIDTH)
        # Not tied to the token embedding.
        self.head = nn.Linear(WIDTH, SYMBOLS)

    def forward(self, symbols: Tensor) -> Tensor:
        x = self.tokens(symbols) + self.positions(torch.arange(symbols.shape[1]))
        return self.head(self.ln(self.blocks(x)))


def gpt_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def text_data(samples: int) -> tuple[Tensor, Tensor]:
    text = torch.randint(SYMBOLS, (samples, CONTEXT + 1))
    return text[:, :-1].contiguous(), text[:, 1:].contiguous()


# --- lstm: two layers of 128 over 96 steps of 7 series; the last state → the next step ----------------------------------


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(7, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 7)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        return self.head(states[:, -1])


def series_data(samples: int) -> tuple[Tensor, Tensor]:
    return torch.randn(samples, 96, 7), torch.randn(samples, 7)


WORKLOADS = {
    "mlp": Workload(64, mlp, functional.cross_entropy, mlp_data),
    "resnet18": Workload(32, resnet18, functional.cross_entropy, image_data),
    "gpt": Workload(16, Gpt, gpt_loss, text_data),
    "lstm": Workload(64, Lstm, functional.mse_loss, series_data),
}
