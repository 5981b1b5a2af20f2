"""Trains a network on CIFAR-10, saves it, and draws how it went.

    python examples/train_cifar10.py --model resnet20 --epochs 10

A tenth of the training images is held out, and watched while training; the test images are looked at once, at the end.
The images come from --data, from $FASTNET_DATA, from the cache folder or from the network, in this order; where there
is neither data nor network, generated images take their place. Ctrl-C ends training early and keeps what was reached.
"""
import argparse
from pathlib import Path

import fastnet
from fastnet import data, models, optim, plot, schedules


def muon(params, lr):
    """Muon for the filters of the convolutions, SGD for all else."""
    filters = [p for p in params if p.value.ndim == 4]
    others = [p for p in params if p.value.ndim != 4]
    return optim.Muon([{"params": filters, "weight_decay": 0.0},
                       {"params": others, "orthogonal": False, "lr_scale": 2.0, "weight_decay": 5e-4}],
                      lr, momentum=0.9, ns_steps=3)


OPTIMIZERS = {  # the default learning rate, and how it is made
    "muon": (0.085, muon),
    "sgd": (0.2, lambda params, lr: optim.SGD(params, lr, momentum=0.9, weight_decay=5e-4, nesterov=True)),
    "adam": (2e-3, lambda params, lr: optim.Adam(params, lr)),
    "adamw": (2e-3, lambda params, lr: optim.AdamW(params, lr, weight_decay=0.05)),
}
UNNORMALISED = ("lenet5", "small_convnet")  # no batch norm: these bear a third of the learning rate


def parse(argv):
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[name for name in models.__all__ if getattr(models, name).input_shape ==
                                            (3, 32, 32)], default="quick_convnet")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="muon")
    parser.add_argument("--lr", type=float, help="highest learning rate (default: the optimizer's own)")
    parser.add_argument("--seed", type=int, default=0, help="fixes weights, order and augmentation")
    parser.add_argument("--data", help='folder or archive with CIFAR-10, or "generated"')
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10"), help="folder for what is written")
    parser.add_argument("--limit", type=int, help="use only so many training and test images")
    parser.add_argument("--holdout", type=float, default=0.1,
                        help="share of the training images that is watched, and not trained on (default: 0.1; 0: none)")
    return parser.parse_args(argv)


def load(args):
    """Training set, held-out part of it or None, and test set; says where the images come from."""
    if args.data == "generated":
        train, test = data.synthetic(args.limit or 20_000, args.limit or 4_000)
    else:
        train, test = (part[:args.limit] for part in data.cifar10_or_synthetic(args.data))
    source, held_out = train.source, None
    if args.holdout:
        train, held_out = (train[part] for part in data.train_val_split(train.labels, args.holdout))
    print(f"{len(train):,} images to train on, {len(held_out or ()):,} held out, {len(test):,} to test: {source}",
          flush=True)
    return train, held_out, test


def draw(net, history, test, predictions, folder):
    """Curves, first-layer filters and the confusion matrix, as PNG files."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no pictures, since matplotlib is not installed: pip install "fastnet-numba[plot]"')
        return
    figure = Figure(figsize=(10, 4), layout="constrained")
    for ax, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        watched = history.rows[0][f"val_{key}"] is not None
        plot.curves(history, key, *[f"val_{key}"] * watched, ax=ax)
    figure.savefig(folder / "curves.png")
    figure = Figure(figsize=(5, 5), layout="constrained")
    plot.filters(net.parameters()[0].value, ax=figure.subplots())
    figure.savefig(folder / "filters.png")
    figure = Figure(figsize=(7, 6), layout="constrained")
    plot.confusion_matrix(test.labels, predictions, test.classes, ax=figure.subplots())
    figure.savefig(folder / "confusion.png")


def main(argv=None):
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    fastnet.manual_seed(args.seed)
    train, held_out, test = load(args)
    normalize = data.Normalize.per_channel(train.images)
    augment = data.Augment(crop=2, padding_mode="reflect", flip="alternating")
    batches = data.DataLoader(train, batch_size=args.batch_size, seed=args.seed, augment=augment, normalize=normalize)
    watched, test_batches = (part and data.DataLoader(part, batch_size=256, shuffle=False, normalize=normalize)
                             for part in (held_out, test))

    net = getattr(models, args.model)(len(train.classes))
    print(fastnet.summary(net, (args.batch_size, 3, 32, 32)), flush=True)
    lr, make_optimizer = OPTIMIZERS[args.optimizer]
    lr = args.lr or (lr / 3 if args.model in UNNORMALISED else lr)
    schedule = schedules.one_cycle(lr, args.epochs * len(batches), pct_start=0.1, div_factor=5,
                                   anneal_strategy="linear")
    loss = fastnet.CrossEntropyLoss(label_smoothing=0.1)
    trainer = fastnet.Trainer(net, loss, make_optimizer(net.parameters(), lr), [
        fastnet.LearningRateSchedule(schedule),
        fastnet.Progress(),
        fastnet.JsonLines(args.out / "history.jsonl"),
    ])
    history = trainer.fit(batches, args.epochs, validation=watched)

    fastnet.save_weights(net, args.out / "weights.npz")
    predictions = fastnet.predict(net, test_batches, flip=True).argmax(axis=1)  # each image and its mirror image
    if history.rows:    # else Ctrl-C came in the first step
        draw(net, history, test, predictions, args.out)
    print(f"written to {args.out}: {', '.join(sorted(file.name for file in args.out.iterdir()))}")
    print(f"test accuracy: {(predictions == test.labels).mean():.4f}")


if __name__ == "__main__":
    main()
