"""Callbacks that watch a column of the history."""
from fastnet import arguments, writing
from fastnet.training.callbacks.base import Callback
from fastnet.training.callbacks.steps import LearningRateSchedule
from fastnet.training.weights import save_state


class Best(Callback):
    """Knows after each epoch whether a column of the history, `monitor`, has become better than ever before."""

    wants_weights = True
    state_names = ("monitor", "best", "best_epoch")

    def __init__(self, monitor, min_delta=0.0):
        who = type(self).__name__
        self.monitor = arguments.text(monitor, f"{who}: monitor")
        self.min_delta = arguments.number(min_delta, f"{who}: min_delta", 0)
        self.best = self.best_epoch = None
        self._lower = True

    def on_train_begin(self, trainer):
        column = self.monitor.removeprefix("val_")
        if column not in ("loss", "accuracy", *trainer.metrics):
            raise ValueError(f"{type(self).__name__}: monitor must be 'loss', 'accuracy' or the name of one of the "
                             f"Trainer's metrics, with or without val_ before it, got {arguments.shown(self.monitor)}")
        self._lower = column == "loss" or column in trainer.metrics and trainer.metrics[column].lower
        if self.monitor.startswith("val_") and trainer.validation is None:
            raise ValueError(f"{type(self).__name__}: watches {self.monitor}, but fit was given no validation; give it "
                             f"some, or monitor={self.monitor.removeprefix('val_')!r}")
        if trainer.epoch == 0:
            self.begin()

    def begin(self):
        """Forget what was seen in another training."""
        self.best = self.best_epoch = None

    def check_state(self, monitor, best, best_epoch, **others):
        who = type(self).__name__
        if monitor != self.monitor:
            raise ValueError(f"{who}: the state is of monitor={arguments.shown(monitor)}, this one watches "
                             f"{self.monitor!r}")
        if best is not None:
            arguments.instance(best, (int, float), f"{who}: best", "a number or None")
            best_epoch = arguments.integer(best_epoch, f"{who}: best_epoch", 1)
        return {"best": best, "best_epoch": best_epoch, **others}

    def improved(self, trainer):
        value = self.measured(trainer)
        if value is None:
            return False
        return self.see(value, trainer.epoch)

    def see(self, value, epoch):
        """Note the value of an epoch; returns whether it is the best so far."""
        better = value == value if self.best is None else self.better(value)    # the first that is not NaN
        if better:
            self.best, self.best_epoch = value, epoch
        return better

    def measured(self, trainer):
        """What there is to watch, of the epoch that ends; None where that was interrupted."""
        value = trainer.history.rows[-1][self.monitor]
        if value is None and not trainer.history.interrupted:
            raise ValueError(f"{type(self).__name__}: there is no {self.monitor}, because the labels are not class "
                             "numbers; watch a loss")
        return value

    def better(self, value):
        """Whether a value is better than `best`."""
        return (self.best - value if self._lower else value - self.best) > self.min_delta


class EarlyStopping(Best):
    """Stops after `patience` epochs without a better `monitor`, and gives the net its best weights back.

    `monitor` is a column of the history: "loss", "accuracy", the name of one of the Trainer's metrics, or one of these
    with "val_" before it. Better is lower for a loss and higher for an accuracy, and for metrics what they say, by more
    than `min_delta`. The best weights (with the running statistics) are restored whenever training ends; where it goes
    on, it goes on from the last ones. `best` and `best_epoch` tell which were the best, `waited` for how many epochs
    there was nothing better.

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(),
    ...                           fastnet.SGD(net.parameters(), 0.1), [EarlyStopping(2, "loss")])
    >>> history = trainer.fit((x, x[:, :1]), 5)
    >>> len(history) <= 5
    True
    """

    state_names = (*Best.state_names, "waited", "best_weights")

    def __init__(self, patience, monitor="val_loss", min_delta=0.0):
        super().__init__(monitor, min_delta)
        self.patience = arguments.integer(patience, "EarlyStopping: patience", 1)
        self.waited, self.best_weights = 0, None

    def begin(self):
        super().begin()
        self.waited, self.best_weights = 0, None

    def check_state(self, waited, best_weights, **others):
        waited = arguments.integer(waited, "EarlyStopping: waited", 0)
        if best_weights is not None:
            best_weights = arguments.mapping(best_weights, "EarlyStopping: best_weights", "arrays by name")
        return super().check_state(waited=waited, best_weights=best_weights, **others)

    def on_epoch_end(self, trainer):
        if self.measured(trainer) is None:
            return
        if self.improved(trainer):
            self.waited, self.best_weights = 0, trainer.measured
        else:
            self.waited += 1
            if self.waited >= self.patience:
                trainer.stop = True

    def on_train_end(self, trainer):
        if self.best_weights is not None:
            trainer.net.load_state_dict(self.best_weights)

    def __repr__(self):
        return f"EarlyStopping({self.patience}, monitor={self.monitor!r}, min_delta={self.min_delta:g})"


class SaveBest(Best):
    """Saves the weights to `path` as `save_weights` does, all or nothing, after each epoch with a better `monitor`.

    >>> import tempfile
    >>> best = SaveBest(tempfile.mkdtemp() + "/best.npz", "loss")
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [best])
    >>> history = trainer.fit((x, x[:, :1]), 5)
    >>> load = fastnet.load_weights(net, best.path)
    """

    def __init__(self, path, monitor="val_loss"):
        super().__init__(monitor)
        self.path = arguments.path(path, "SaveBest: path")

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        writing.folder(self.path, "SaveBest")

    def on_epoch_end(self, trainer):
        if self.improved(trainer):
            save_state(trainer.measured, self.path, "SaveBest")

    def __repr__(self):
        return f"SaveBest({self.path!r}, monitor={self.monitor!r})"


class ReduceLROnPlateau(Best):
    """Multiplies the learning rate by `factor` when `monitor` has not become better for more than `patience` epochs.

    Better is lower for a loss and higher for an accuracy: by more than the part `threshold` of the best so far
    (threshold_mode "rel"), or by more than `threshold` ("abs"). After each cut `cooldown` epochs go by in which nothing
    is counted. The rate never falls below `min_lr`, and a change by no more than `eps` is left out. It is the
    optimiser's one rate that changes, so this is no companion for `LearningRateSchedule`: ValueError for both. Names
    and counting are those of PyTorch's ReduceLROnPlateau.

    >>> plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1)
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [plateau])
    >>> history = trainer.fit((x, x[:, :1]), 5)
    >>> trainer.lr <= 0.1
    True
    """

    wants_weights = False
    state_names = (*Best.state_names, "num_bad_epochs", "cooldown_counter")

    def __init__(self, monitor="val_loss", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0.0, eps=1e-8):
        super().__init__(monitor)
        who = "ReduceLROnPlateau"
        self.factor = arguments.number(factor, f"{who}: factor", 0, below=1)
        self.patience = arguments.integer(patience, f"{who}: patience", 0)
        self.threshold = arguments.number(threshold, f"{who}: threshold", 0)
        self.threshold_mode = arguments.choice(threshold_mode, ("rel", "abs"), f"{who}: threshold_mode")
        self.cooldown = arguments.integer(cooldown, f"{who}: cooldown", 0)
        self.min_lr = arguments.number(min_lr, f"{who}: min_lr", 0)
        self.eps = arguments.number(eps, f"{who}: eps", 0)
        self.num_bad_epochs = self.cooldown_counter = 0

    def begin(self):
        super().begin()
        self.num_bad_epochs = self.cooldown_counter = 0

    def check_state(self, num_bad_epochs, cooldown_counter, **others):
        counts = {"num_bad_epochs": num_bad_epochs, "cooldown_counter": cooldown_counter}
        for name, value in counts.items():
            arguments.integer(value, f"ReduceLROnPlateau: {name}", 0)
        return super().check_state(**counts, **others)

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        if any(isinstance(callback, LearningRateSchedule) for callback in trainer.callbacks):
            raise ValueError("ReduceLROnPlateau: callbacks has a LearningRateSchedule too, which sets the rate anew "
                             "before each step; leave one of them out")
        if trainer.lr is None:
            raise ValueError(f"ReduceLROnPlateau: optimizer must have a learning rate, lr, to be reduced, got a "
                             f"{type(trainer.optimizer).__name__} without one: leave the callback out")

    def better(self, value):
        change = self.threshold if self.threshold_mode == "abs" else self.threshold * self.best
        return value < self.best - change if self._lower else value > self.best + change

    def on_epoch_end(self, trainer):
        if self.measured(trainer) is None:
            return
        self.num_bad_epochs = 0 if self.improved(trainer) else self.num_bad_epochs + 1
        if self.cooldown_counter:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            rate = max(trainer.lr * self.factor, self.min_lr)
            if trainer.lr - rate > self.eps:
                trainer.optimizer.lr = rate
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown

    def __repr__(self):
        return (f"ReduceLROnPlateau(monitor={self.monitor!r}, factor={self.factor:g}, patience={self.patience}, "
                f"threshold={self.threshold:g}, threshold_mode={self.threshold_mode!r}, cooldown={self.cooldown}, "
                f"min_lr={self.min_lr:g}, eps={self.eps:g})")
