"""Does dasNet pay? The policy against its controls, on the same frozen base, over several seeds.

The base is a maxout network trained on some of the images of MNIST (`--shown`), so that it errs
enough to leave room. The policy learns from those or from the other training images
(`--learn_from`), and so do its controls, from the same batches in the same order:

    gates one     the base itself: no further pass
    random gates  in every pass, their logarithms spread as those of the policy
    static gates  the same search for gains that do not depend on the image
    SE block      squeeze-and-excitation after the last stage, the base frozen, by gradients

Every model reads the test set once, at the end. What is compared are errors on the same images of
the same base: the interval is Student's, of the paired differences over seeds.

    GLIMPSE_DATA=folder-with-mnist python benchmarks/dasnet.py
"""

import argparse
import platform
import time
from dataclasses import replace
from math import cos, pi, sqrt
from pathlib import Path
from statistics import mean, stdev

import torch
from scipy.stats import t as student
from torch import nn
from torch.nn import functional as F

from glimpse.agents import (
    BaseConfig,
    BaseLearner,
    Dasnet,
    DasnetConfig,
    DasnetLearner,
    portion,
)
from glimpse.agents.portions import Part
from glimpse.bases import Base, load_base, save_base
from glimpse.batches import drawn
from glimpse.callbacks import ProgressBar
from glimpse.catalogue import find_images
from glimpse.classifier import error_of
from glimpse.cli.dasnet_report import Passes, evaluate_passes
from glimpse.draws import Draws
from glimpse.feedback import FeedbackBatch
from glimpse.image_set import ImageSource
from glimpse.loop import train
from glimpse.maxout import MaxoutNetwork
from glimpse.run_folder import RunFolder
from glimpse.soft_baselines.squeeze_excitation import SqueezeExcitation

LAYER = "stages.1"  # after which the SE block stands


def base_of(options: argparse.Namespace, images: ImageSource) -> MaxoutNetwork:
    """Return the frozen base: of a folder, or trained and kept there."""
    place = Path(options.base)
    if not (place / "weights.safetensors").is_file():
        config = BaseConfig(steps=600, dropout=0.3, train_images=options.shown)
        learner = BaseLearner(config, images, config.make(images))
        with ProgressBar() as bar:
            train(learner, config.steps, [bar, lambda at: at.step % 30 == 0 and _ask(learner)])
        learner.choose_best()
        save_base(RunFolder.create(place), learner.network, {"images": "mnist"}, options.shown)
    base = load_base(place)
    if base.shown != options.shown or not isinstance(base.network, MaxoutNetwork):
        raise SystemExit(f"{place} holds a base that was shown {base.shown} images: name another")
    return base.network


def _ask(learner: BaseLearner) -> None:
    learner.validate()


def search(
    config: DasnetConfig, core: FeedbackBatch, pool: Part, test: ImageSource
) -> tuple[Passes, float]:
    """Find a policy; return what the test images come to, and the CPU seconds of the search."""
    first = pool.splits["train"][:1000]
    start = Dasnet.create(config, core.network, drawn(core.images, first, first).images)
    learner = DasnetLearner(config, core, start, pool=pool)
    began = time.process_time()
    with ProgressBar() as bar:
        train(learner, config.steps, [bar])
    seconds = time.process_time() - began
    return evaluate_passes(learner.agent, test, "test"), seconds


def fine_tuned(
    network: MaxoutNetwork, config: DasnetConfig, images: ImageSource, pool: Part
) -> float:
    """Train an SE block by gradients; return the test error in percent."""
    torch.manual_seed(config.seed)
    block = SqueezeExcitation(network.layers[LAYER], reduction=4)
    nn.init.constant_(block.excite.bias, 4.0)  # gates near 1, so that it begins near the base
    stage = dict(network.named_modules())[LAYER]
    handle = stage.register_forward_hook(lambda _, __, maps: block(maps))
    optimiser = torch.optim.AdamW(block.parameters(), lr=1e-2)
    draws = Draws(pool, config.batch, config.seed)
    network.eval()
    for step in range(config.steps):
        indices = draws.images(step)
        batch = drawn(images, draws.first_seed(step) + torch.arange(len(indices)), indices)
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 + cos(pi * step / config.steps)) / 2
        loss = F.cross_entropy(network(batch.images), batch.target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    error = error_of(network, images, "test").percent
    handle.remove()
    return error


def paired(values: list[float], base: list[float]) -> str:
    """Return the mean difference and its 95 % interval over seeds."""
    differences = [value - other for value, other in zip(values, base, strict=True)]
    if len(differences) < 2:
        return f"{differences[0]:+.2f}"
    if not any(differences):
        return "0"
    spread = stdev(differences) / sqrt(len(differences))
    half = float(student.ppf(0.975, len(differences) - 1)) * spread
    middle = mean(differences)
    verdict = "better" if middle + half < 0 else "worse" if middle - half > 0 else "zero inside"
    return f"{middle:+.2f} [{middle - half:+.2f}, {middle + half:+.2f}] {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--base", default="runs/base-mnist-1000", help="folder; made if not there")
    parser.add_argument("--shown", type=int, default=1000, help="images the base is trained on")
    parser.add_argument("--learn_from", choices=("shown", "other"), default="other")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=300, help="generations")
    parser.add_argument("--batch", type=int, default=256, help="images of a generation")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--boost", type=float, default=0.1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = find_images("mnist")
    network = base_of(options, images)
    gated = Base(network).gated(drawn(images, *[torch.arange(1)] * 2).images)
    core = FeedbackBatch(gated, images, 500, passes=options.passes, boost=options.boost)
    pool = portion(images, options.shown, other=options.learn_from == "other")
    count = sum(weights.numel() for weights in network.parameters())
    print(
        f"{platform.machine()}, torch {torch.__version__}, 1 thread; base of {count:,} weights "
        f"shown {options.shown} images; {options.steps} generations of 50 policies on "
        f"{options.batch} of {len(pool.splits['train']):,} images ({options.learn_from}), "
        f"{options.passes} passes, boost {options.boost}"
    )
    common = dict(steps=options.steps, batch=options.batch, passes=options.passes)
    errors: dict[str, list[float]] = {}
    sweeps, changed = [], []
    for seed in options.seeds:
        config = DasnetConfig(**common, boost=options.boost, seed=seed)
        learned, seconds = search(config, core, pool, images)
        steady, _ = search(replace(config, policy="static", std=0.1), core, pool, images)
        last = options.passes
        row = {
            "gates one": learned.learned[0].percent,
            "dasNet": learned.learned[last].percent,
            "random gates": learned.random[last].percent,
            "static gates": steady.learned[last].percent,
            "SE block": fine_tuned(network, config, images, pool),
        }
        for name, error in row.items():
            errors.setdefault(name, []).append(error)
        sweeps.append([error.percent for error in learned.learned])
        changed.append((learned.mended, learned.spoilt))
        told = "  ".join(f"{name} {error:.2f}" for name, error in row.items())
        print(f"seed {seed}: {told}  ({seconds:.0f} CPU s of search)", flush=True)
    print(f"\n{'':14} {'mean test error %':>18}  {'less gates one [95 %]':36} dasNet less this")
    for name, values in errors.items():
        beside = paired(errors["dasNet"], values) if name != "dasNet" else ""
        print(f"{name:14} {mean(values):18.2f}  {paired(values, errors['gates one']):36} {beside}")
    print("\nerror of dasNet by the number of passes at test time, mean over seeds:")
    print(
        "  ".join(
            f"{at}: {mean(column):.2f}" for at, column in enumerate(zip(*sweeps, strict=True))
        )
    )
    mended, spoilt = (mean(column) for column in zip(*changed, strict=True))
    print(f"wrong to right {mended:.1f}, right to wrong {spoilt:.1f} images")


if __name__ == "__main__":
    main()
