"""`predict_images`: what a net says of image files, by the names of the classes."""
from fastnet import arguments
from fastnet.data import DataLoader, ImageFiles, Normalize
from fastnet.data.images import check_there, file_names
from fastnet.files.models import Model, ranked
from fastnet.training.evaluation import predict


def predict_images(net, paths, size=None, normalize=None, classes=None, top=5, workers=2):
    """The most likely classes of each image: a list, in the order of `paths`, of lists of `top` pairs (name of the
    class, probability), the most likely one first, as `Model.predict` gives them of arrays.

    paths : names of files, or one name; or `ImageFiles`, such as an `ImageFolder`, whose size, channels (1 for grey)
        and treatment of errors then hold. An image that cannot be read, where these leave it out, has an empty list.
    net : a net, or a `Model`, which has all the following where it was saved with it
    size, normalize : as in training;  classes : names of the classes, those of ImageFiles at first, else their numbers
    Probabilities are the softmax of what the net gives, or that itself where the net ends with a Softmax or LogSoftmax.
    TypeError, ValueError or FileNotFoundError for arguments that do not fit, ValueError for a damaged file.

    ``predict_images(net, ["cat.jpg"], 64, normalize, files.classes)`` gives [[("cat", 0.93), ("dog", 0.06), ...]].

    >>> import tempfile
    >>> from PIL import Image
    >>> name = tempfile.mkdtemp() + "/red.png"
    >>> Image.new("RGB", (40, 30), "red").save(name)
    >>> net = fastnet.Sequential(fastnet.AdaptiveAvgPool2d(1), fastnet.Flatten())
    >>> predict_images(net, name, size=8, classes=["red", "green", "blue"], top=1)
    [[('red', 1.0)]]
    """
    who, channels = "predict_images", 3
    if isinstance(net, Model):
        normalize = net.normalize if normalize is None else normalize
        classes = net.classes if classes is None else classes
        if net.input_shape is not None and not isinstance(paths, ImageFiles):
            channels, *pixels = net.input_shape
            size = tuple(pixels) if size is None else size
        net = net.net
    arguments.function(net, f"{who}: net", "a net")
    if normalize is not None:
        arguments.instance(normalize, Normalize, f"{who}: normalize", "a Normalize, or None")
    top = arguments.integer(top, f"{who}: top", 1)
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
        files = ImageFiles(paths, size=arguments.pair(size, f"{who}: size"), channels=channels)
    names = files.classes if classes is None else tuple(
        arguments.text(name, f"{who}: a name in classes")
        for name in arguments.listed(classes, f"{who}: classes", "names"))
    files.labels = None
    loader = DataLoader(files, batch_size=min(64, -(-len(files) // max(1, workers))), shuffle=False,
                        normalize=normalize, workers=workers)
    found = iter(ranked(predict(net, loader), net, names, top, who))
    return [[] if path in files.damaged else next(found) for path in files.paths]
