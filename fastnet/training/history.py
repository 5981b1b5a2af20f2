"""What a training leaves behind: one row of numbers an epoch."""


class History:
    """Rows, one dictionary an epoch: ``history.rows[-1]["loss"]``; ``history["loss"]`` is that column as a list.

    epoch           counts from 1
    steps           updates made since training began
    lr              learning rate of the last update
    loss, accuracy  means over the images of this epoch, each taken before the update it led to
    val_loss, val_accuracy  after the epoch, over the validation batches
    seconds, images_per_second  of the training part of this epoch

    What does not exist, such as the accuracy of a regression or validation that was not asked for, is None.
    `interrupted` is True where Ctrl-C ended training; the last row may then tell of a part of an epoch.
    """

    def __init__(self):
        self.rows = []
        self.interrupted = False

    def __getitem__(self, column):
        return [row[column] for row in self.rows]

    def __len__(self):
        return len(self.rows)

    def __repr__(self):
        end = ", interrupted" if self.interrupted else ""
        return "\n".join([f"History({len(self.rows)} epochs{end})", *map(describe, self.rows)])


def describe(row):
    """A row as one line to read."""
    def number(column, form):
        return "" if row[column] is None else f"  {column.replace('_', ' ')} {row[column]:{form}}"
    return (f"epoch {row['epoch']:3d}" + number("loss", ".4f") + number("accuracy", ".4f") + number("val_loss", ".4f")
            + number("val_accuracy", ".4f") + f"  lr {row['lr']:.3g}  {row['images_per_second']:.0f} images/s"
            f"  {row['seconds']:.1f} s")
