"""What every callback is: hooks, and a state. One of one's own derives from `Callback` and overrides some hooks."""
from fastnet.training.plain import fitting, plain

HOOKS = ("on_train_begin", "on_epoch_begin", "on_step_begin", "on_gradients", "on_step_end", "on_interrupt",
         "on_epoch_end", "on_train_end")


class Callback:
    """Eight hooks that do nothing. Each gets the `Trainer`, whose docstring tells what can be read there.

    wants_weights : in on_epoch_end it finds the weights as ``trainer.measured``, those that were measured, also where
        another callback has changed the net since
    comes_last : it is called after all callbacks that do not say so, wherever it stands among them
    state_names : the attributes that a training that goes on elsewhere needs, such as ``("count",)``: numbers, strings,
        arrays, None, or lists, tuples and dictionaries of these. They are in checkpoints.

    A Trainer goes on where its last `fit` ended: on_train_begin starts anew where ``trainer.epoch == 0``, and keeps
    what it has where it is not.

    >>> class Count(Callback):
    ...     steps = 0
    ...     def on_step_end(self, trainer):
    ...         self.steps += 1
    >>> count = Count()
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [count])
    >>> history = trainer.fit((x, x[:, :1]), 5)
    >>> count.steps
    5
    """

    wants_weights = comes_last = False
    state_names = ()

    def on_train_begin(self, trainer):
        """Before the first epoch of a `fit`."""

    def on_epoch_begin(self, trainer):
        """Before the first batch of an epoch is asked for, and before the next one of an epoch that is resumed."""

    def on_step_begin(self, trainer):
        """Before the forward pass of a batch: the place to set ``trainer.optimizer.lr``."""

    def on_gradients(self, trainer):
        """After the backward pass and before the update: every parameter's ``grad`` is there and may be replaced."""

    def on_step_end(self, trainer):
        """After the update."""

    def on_interrupt(self, trainer):
        """Where Ctrl-C or SIGTERM ends training, once the step that was running is whole; a row and on_epoch_end of
        the part of an epoch come after it."""

    def on_epoch_end(self, trainer):
        """After validation; ``trainer.history.rows[-1]`` is the row of this epoch."""

    def on_train_end(self, trainer):
        """At the end, also one that Ctrl-C or an error brought about, where on_train_begin has come off."""

    def state_dict(self):
        """A copy of the attributes that `state_names` lists, by name."""
        return {name: plain(getattr(self, name), f"{type(self).__name__}: {name}") for name in self.state_names}

    def load_state_dict(self, state):
        """Take over a copy of what `state_dict` gave. TypeError or ValueError where it does not fit; nothing is
        changed then."""
        state = fitting(state, self.state_names, f"{type(self).__name__}.load_state_dict: state")
        for name, value in self.check_state(**state).items():
            setattr(self, name, value)

    def check_state(self, **state):
        """The state as it is kept; TypeError or ValueError where it does not fit."""
        return state
