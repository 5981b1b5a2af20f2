"""What ``python -m fastnet train`` and ``python -m fastnet predict`` do: a net for a folder of images, and what it says
of others."""
import sys

from fastnet import init, models, schedules
from fastnet.data import Augment, DataLoader, ImageFolder, Normalize, train_val_split
from fastnet.files.models import load_model, save_model
from fastnet.losses import CrossEntropyLoss
from fastnet.optim import Adam
from fastnet.training import LearningRateSchedule, Progress, SaveCheckpoints, Trainer, evaluate, predict_images

_SEEN = 1000    # images of which the normalisation is the mean


def add(commands):
    """Tell a parser of the command line what there is."""
    train = commands.add_parser("train", help="train a model on a folder that has a folder of images for each class")
    train.add_argument("folder", help="such as photographs, with photographs/day/*.jpg and photographs/night/*.png")
    train.add_argument("--model", choices=models.__all__, default="resnet20", metavar="MODEL",
                       help="any of those of warmup (default: resnet20)")
    train.add_argument("--size", type=int, default=64, help="images are made so high and wide (default: 64)")
    train.add_argument("--epochs", type=int, default=10, help="(default: 10)")
    train.add_argument("--batch-size", type=int, default=64, help="(default: 64)")
    train.add_argument("--lr", type=float, default=2e-3, help="highest learning rate, of Adam (default: 0.002)")
    train.add_argument("--holdout", type=float, default=0.2, help="share of images that is watched (default: 0.2)")
    train.add_argument("--seed", type=int, default=0, help="weights, order and augmentation follow from it")
    train.add_argument("--workers", type=int, default=2, help="threads that read images (default: 2)")
    train.add_argument("--checkpoints", metavar="FOLDER",
                       help="keep the state of the training there, and go on from the last one that is there")
    train.add_argument("--out", default="model.safetensors", help="the model's file (default: model.safetensors)")
    train.set_defaults(run=run_train)
    predict = commands.add_parser("predict", help="tell what a model says of images")
    predict.add_argument("model", help="a file of train, or of save_model with its input_shape")
    predict.add_argument("images", nargs="+", help="files of images")
    predict.add_argument("--top", type=int, default=3, help="how many classes to name (default: 3)")
    predict.set_defaults(run=run_predict)


def run_train(given):
    """Train, and write the model."""
    init.manual_seed(given.seed)
    files = ImageFolder(given.folder, given.size, errors="skip")
    train, held_out = (files[part] for part in train_val_split(files.labels, given.holdout))
    normalize = Normalize.per_channel(train[:: -(-len(train) // _SEEN)].load()[0])
    batches = DataLoader(train, batch_size=given.batch_size, seed=given.seed, normalize=normalize,
                         augment=Augment(resized_crop=(0.5, 1), flip=True), workers=given.workers)
    watched = DataLoader(held_out, shuffle=False, normalize=normalize, workers=given.workers)
    net, loss = getattr(models, given.model)(len(files.classes)), CrossEntropyLoss()
    print(f"{given.model} on {len(train):,} images of {len(files.classes)} classes, {len(held_out):,} held out",
          flush=True)
    callbacks = [LearningRateSchedule(schedules.one_cycle(given.lr, given.epochs * len(batches))),
                 Progress(sys.stdout)]
    if given.checkpoints is not None:
        callbacks.append(SaveCheckpoints(given.checkpoints))
    trainer = Trainer(net, loss, Adam(net.parameters(), given.lr), callbacks)
    trainer.fit(batches, given.epochs, watched, resume=given.checkpoints)
    save_model(net, given.out, normalize, files.classes, (3, given.size, given.size))
    value, accuracy = evaluate(net, watched, loss)
    print(f"{given.out}: loss and accuracy of the images held out: {value:.4f} {accuracy:.4f}")


def run_predict(given):
    """A line for each image: its name, and the classes with their probabilities."""
    for path, found in zip(given.images, predict_images(load_model(given.model), given.images, top=given.top),
                           strict=True):
        print("  ".join([path, *(f"{name} {share:.3f}" for name, share in found)]))
