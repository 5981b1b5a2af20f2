"""`predict_images`: what a net says of image files, by the names of the classes."""
import numpy as np

from fastnet import arguments
from fastnet.data import DataLoader, ImageFiles, Normalize
from fastnet.data.images import check_there, file_names
from fastnet.training.evaluation import predict


def predict_images(net, paths, size=None, normalize=None, classes=None, top=3, from_logits=True, workers=2):
    """The most probable classes of each image: a list, in the order of `paths`, of lists of `top` pairs (name of the
    class, probability), the most probable one first.

    paths : names of files, or one name; or `ImageFiles`, such as an `ImageFolder`, whose size, channels (1 for grey)
        and treatment of errors then hold. An image that cannot be read, where these leave it out, has an empty list.
    size, normalize : as in training;  classes : names of the classes, those of ImageFiles at first, else their numbers
    from_logits : whether the net gives scores (N, C), of which softmax makes probabilities, as is right after
        CrossEntropyLoss; False where it gives probabilities itself
    TypeError, ValueError or FileNotFoundError for arguments that do not fit, ValueError for a damaged file.

    ``predict_images(net, ["cat.jpg"], 64, normalize, files.classes)`` gives [[("cat", 0.93), ("dog", 0.06), ...]].
    """
    who = "predict_images"
    arguments.function(net, f"{who}: net", "a net")
    if normalize is not None:
        arguments.instance(normalize, Normalize, f"{who}: normalize", "a Normalize, or None")
    top = arguments.integer(top, f"{who}: top", 1)
    from_logits = arguments.flag(from_logits, f"{who}: from_logits")
    workers = arguments.integer(workers, f"{who}: workers", 0, 1024)
    if isinstance(paths, ImageFiles):
        if size is not None:
            raise ValueError(f"{who}: size must be None where paths are ImageFiles, which have one of their own, got "
                             f"{arguments.shown(size)}")
        files = paths[:]
    else:
        if size is None:
            raise ValueError(f"{who}: size must be given, height and width in pixels as in training, got None")
        one = isinstance(paths, (str, bytes)) or hasattr(paths, "__fspath__")
        paths = file_names([paths] if one else paths, f"{who}: paths")
        check_there(paths, f"{who}: paths")
        files = ImageFiles(paths, size=arguments.pair(size, f"{who}: size"))
    names = files.classes if classes is None else tuple(
        arguments.text(name, f"{who}: a name in classes")
        for name in arguments.listed(classes, f"{who}: classes", "names"))
    files.labels = None
    loader = DataLoader(files, batch_size=min(64, -(-len(files) // max(1, workers))), shuffle=False,
                        normalize=normalize, workers=workers)
    scores = np.asarray(predict(net, loader), np.float64)
    if scores.ndim != 2 or names is not None and len(names) != scores.shape[1]:
        wanted = "one column a class" if names is None else f"{len(names)} columns, one a class"
        raise ValueError(f"{who}: net must give scores of {wanted}, got shape {scores.shape}: give its own classes")
    if from_logits:
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    rows = ([(str(c) if names is None else names[c], float(row[c])) for c in order]
            for row, order in zip(scores, best, strict=True))
    return [[] if path in files.damaged else next(rows) for path in files.paths]
