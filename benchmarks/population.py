"""How fast is a whole population of dasNet policies evaluated, and in how much memory?

A generation is 50 policies that each look at the same 128 images, once with gains one and five
times with gains of their own. Ours shares the first pass, the first stage and the second stage's
responses. Beside it stand a plain loop over individuals, which multiplies feature maps by gains as
the equation says, in PyTorch's default layout with its own pooling; the same loop on our layers,
which keep maps innermost in memory and are alone more than twice as fast; all individuals folded
into chunks of a batch by hooks; and, as the physical limit, the time that the arithmetic of ours
would take at the rate of one large matrix product. Every way is measured in a process of its own,
the median of several.

    python benchmarks/population.py
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from glimpse.agents.gain_policy import Standard, linear, look_again
from glimpse.gated_maxout import GatedMaxout
from glimpse.gated_module import GatedModule
from glimpse.maxout import MaxoutDense, MaxoutNetwork, MaxoutStage

TARGET = 10.0
WAYS = ("plain", "layers", "folded", "ours")


def plain_stage(stage: MaxoutStage, maps: Tensor) -> Tensor:
    """Return a stage's maps as anybody would write it."""
    filters = stage.filters
    linear = F.conv2d(maps, filters.weight.contiguous(), filters.bias, padding=filters.padding)
    pieces = linear.unflatten(1, (stage.sizes.pieces, -1)).amax(dim=1)
    return F.max_pool2d(pieces, stage.sizes.pool, stage.sizes.stride)


def plain_dense(dense: MaxoutDense, maps: Tensor) -> Tensor:
    """Return a maxout layer's units as anybody would write it."""
    linear = F.linear(maps.flatten(1), dense.filters.weight.flatten(1), dense.filters.bias)
    return linear.unflatten(1, (dense.sizes.pieces, -1)).amax(dim=1)


def of_layers(layer: MaxoutStage | MaxoutDense, maps: Tensor) -> Tensor:
    """Return what our layer makes of maps."""
    return layer(maps.contiguous(memory_format=torch.channels_last))


def loop(
    net: MaxoutNetwork,
    images: Tensor,
    weights: Tensor,
    passes: int,
    convolve: Callable[[MaxoutStage, Tensor], Tensor],
    connect: Callable[[MaxoutDense, Tensor], Tensor],
) -> Tensor:
    """Return what each policy says last of each image, (P, B, n), straight from the equations."""
    layers, said = list(net.layers.values()), []
    for theta in weights.view(len(weights), sum(layers), -1):
        gains = torch.ones(len(images), sum(layers))
        for _ in range(passes + 1):
            features, means = images, []
            *spatial, last = gains.split(layers, dim=1)
            for stage, gain in zip(net.convolutions, spatial, strict=True):
                features = convolve(stage, features) * gain[:, :, None, None]
                means.append(features.mean(dim=(2, 3)))
            features = connect(net.dense, features) * last
            logits = net.classifier(features)
            means.append(features)
            observed = torch.cat([*means, logits.softmax(dim=1)], dim=1)
            scores = observed @ theta[:, :-1].T + theta[:, -1]
            gains = sum(layers) * scores.softmax(dim=1)
        said.append(logits.log_softmax(dim=1))
    return torch.stack(said)


def way(
    name: str, side: int, population: int, images: int, passes: int
) -> tuple[Callable[[], Tensor], float]:
    """Return what evaluates a generation that way, and how many multiplications ours makes."""
    torch.manual_seed(0)
    net = MaxoutNetwork((1, side, side), 10).eval().requires_grad_(False)
    pixels = torch.rand(images, 1, side, side)
    gated = GatedMaxout(net)
    maps = sum(net.layers.values())
    standard = Standard.none(gated, pixels.device)
    weights = 0.05 * torch.randn(population, maps * (maps + net.classifier.out_features + 1))
    choose = linear(weights, standard, maps)
    hooked = GatedModule(net, list(net.layers), pixels[:1])

    def folded(network: GatedMaxout | GatedModule) -> Tensor:
        answers = look_again(network, pixels, choose, population, passes)
        return answers[:, :, -1].transpose(0, 1)

    work = {
        "plain": lambda: loop(net, pixels, weights, passes, plain_stage, plain_dense),
        "layers": lambda: loop(net, pixels, weights, passes, of_layers, of_layers),
        "folded": lambda: folded(hooked),
        "ours": lambda: folded(gated),
    }
    return work[name], multiplications(net, side, population * images * passes)


def multiplications(net: MaxoutNetwork, side: int, looks: int) -> float:
    """Return how many multiplications that many looks take, what all share left out."""
    first, second = net.convolutions
    height, width = first.size_of((side, side))
    responses = second.filters.out_channels * height * width  # same padding
    own = net.dense.filters.weight.numel() + net.classifier.weight.numel()
    maps = sum(net.layers.values())
    policy = maps * (maps + net.classifier.out_features + 1)
    return looks * (first.sizes.maps * responses + own + policy)


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of a generation, and the memory it took, in a process of its own."""
    sizes = [f"--{size}={getattr(options, size)}" for size in SIZES]
    command = [sys.executable, __file__, f"--way={name}", *sizes]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(told))


def report(name: str, options: argparse.Namespace) -> None:
    """Measure one way here, and print it for `measure`."""
    work, _ = way(name, options.side, options.population, options.images, options.passes)
    forget_peak()
    before = most_memory()
    work()
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    peak = most_memory() - before
    print(json.dumps({"seconds": median(seconds), "peak": peak}))


def forget_peak() -> None:
    """Make the kernel measure the most memory from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def most_memory() -> float:
    """Return the most memory this process has held, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def product_rate() -> float:
    """Return the multiplications a second of one large matrix product."""
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - start)
    return 1024**3 / min(seconds)


SIZES = ("side", "population", "images", "passes", "repeats")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--side", type=int, default=28, help="of the images, in pixels")
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help="measure only this, for the script itself")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.way:
        report(options.way, options)
        return
    wanted, *others = (way(name, options.side, 3, 8, 2)[0]() for name in WAYS)
    for answers in others:  # before anybody is timed
        torch.testing.assert_close(answers, wanted, atol=1e-4, rtol=1e-4)
    print(
        f"{platform.machine()}, torch {torch.__version__}, 1 thread; small base, {options.side} "
        f"pixels, population {options.population}, {options.images} images, {options.passes} passes"
    )
    _, count = way("ours", options.side, options.population, options.images, options.passes)
    limit = count / product_rate()
    told = {name: measure(name, options) for name in WAYS}
    print(f"\n{'way':10} {'evaluations/s':>14} {'ratio':>7} {'of the limit':>13} {'peak MiB':>9}")
    for name in WAYS:
        seconds, peak = told[name]["seconds"], told[name]["peak"]
        rate, ratio = options.population / seconds, told["plain"]["seconds"] / seconds
        print(f"{name:10} {rate:14.1f} {ratio:6.1f}x {limit / seconds:12.0%} {peak:9.0f}")
    print(f"{'limit':10} {options.population / limit:14.1f}")
    reached = told["plain"]["seconds"] / told["ours"]["seconds"]
    verdict = "reached" if reached >= TARGET else "MISSED"
    print(f"\ntarget {TARGET:.0f}x a plain loop, reached {reached:.1f}x: {verdict}")


if __name__ == "__main__":
    main()
