"""Writes CIFAR-10 in miniature: pickles as Python 2 and Python 3 make them, folders and archives."""
import io
import pickle
import tarfile


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as in the published batches."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, text):
        self.write(pickle.BINSTRING + len(text).to_bytes(4, "little") + text)

    dispatch[bytes] = save_string


def python2(batch):
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(batch)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def python3(batch):
    return pickle.dumps(batch, protocol=2)


def write_folder(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path, folder, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
