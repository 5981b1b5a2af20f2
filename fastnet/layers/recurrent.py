"""Recurrent layers: RNN, GRU and LSTM."""
from math import sqrt

import numpy as np

from fastnet import arguments, init
from fastnet.kernels.cells import CELLS
from fastnet.layers.base import keywords, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.freezing import Freezable
from fastnet.parameter import Parameter
from fastnet.program import trees

_RETURNS = "all", "output", "last"
_NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
# Larger nets than anybody has memory for.
_MOST_LAYERS = 1000


class _Recurrent(Freezable):
    """What they share. `num_layers` layers in a row, each in one or two directions, each direction a cell with weights
    of its own, which are named as in PyTorch: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse
    ... A layer reads the output of the one before, after `dropout`."""

    traceable = takes_several = gives_several = True
    options = ("input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "returns")

    def _make(self, bias, **given):
        """Take the constructor's arguments, and make the weights."""
        self.set_options(**given)
        self.bias = arguments.flag(bias, "bias")
        bound = 1 / sqrt(self.hidden_size)
        for path, shapes in self._shapes().items():
            for name, shape in zip(_NAMES if self.bias else _NAMES[:2], shapes, strict=False):
                setattr(self, name + path, Parameter(init.uniform(shape, -bound, bound)))
        self.generator = np.random.default_rng(init.generator().integers(2**63))

    def check(self, input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, returns):
        found = {"input_size": arguments.size(input_size, "input_size"),
                 "hidden_size": arguments.size(hidden_size, "hidden_size"),
                 "num_layers": arguments.size(num_layers, "num_layers"),
                 "batch_first": arguments.flag(batch_first, "batch_first"),
                 "dropout": arguments.number(dropout, "dropout", 0, 1),
                 "bidirectional": arguments.flag(bidirectional, "bidirectional"),
                 "returns": arguments.choice(returns, _RETURNS, "returns")}
        gates, sizes = self.gates, [found[name] for name in ("input_size", "hidden_size", "num_layers")]
        if found["num_layers"] > _MOST_LAYERS:
            raise ValueError(f"num_layers must be at most {_MOST_LAYERS}, got {found['num_layers']}")
        self.check_size(gates * sizes[1], max(sizes[0], sizes[1] * (1 + found["bidirectional"])))
        fixed = ("input_size", "hidden_size", "num_layers", "bidirectional")
        if "generator" in vars(self) and any(found[name] != getattr(self, name) for name in fixed):
            raise ValueError(f"{', '.join(fixed)} must stay as they are, since the weights are made for them: make a "
                             "new layer")
        return found

    @property
    def gates(self):
        """How many gates the cell has."""
        return CELLS[self.cell].gates

    @property
    def directions(self):
        return 1 + self.bidirectional

    def _paths(self):
        """(layer, whether it goes backward, the ending of its weights' names) of each direction of each layer."""
        return [(layer, reverse, f"_l{layer}" + "_reverse" * reverse) for layer in range(self.num_layers)
                for reverse in (False, True)[:self.directions]]

    def _shapes(self):
        """{ending of the names: the shapes of the four weights}."""
        rows, hidden = self.gates * self.hidden_size, self.hidden_size
        return {path: ((rows, hidden * self.directions if layer else self.input_size), (rows, hidden), (rows,), (rows,))
                for layer, _, path in self._paths()}

    def _weights(self, path):
        """The four arrays; None for a bias that there is not."""
        return [value_of(getattr(self, name + path, None)) for name in _NAMES]

    # Forward

    @formula
    def forward(self, x, training=False):
        x, states, form = self._taken(x)
        shape, size, ops = x.shape[:2], x.shape[0] * x.shape[1], self.ops
        rows, h_n, c_n, records, keys = x.reshape((size, self.input_size)), [], [], [], []
        drops = training and self.dropout > 0 and not self.is_frozen
        for place, (layer, reverse, path) in enumerate(self._paths()):
            if not reverse:
                if layer and drops:
                    keys.append(ops.draw(self.generator))
                    rows = ops.dropout(rows, self.dropout, keys[-1])
                outputs = []
            w_ih, w_hh, b_ih, b_hh = self._weights(path)
            z = ops.linear_forward(rows, w_ih, b_ih).reshape((*shape, len(w_ih)))
            run = ops.recurrent_forward if training else ops.recurrent_inference
            y, h, c, *saved = run(z, w_hh, self.cell, b_hh, *(one and one[place] for one in states), reverse=reverse,
                                  batch_first=self.batch_first)
            outputs.append(y.reshape((size, self.hidden_size)))
            h_n.append(h)
            c_n.append(c)
            if training:
                kept, before = saved
                records.append((rows, y if kept is None else kept, before))
            if len(outputs) == self.directions:
                rows = outputs[0] if len(outputs) == 1 else ops.concat(outputs)
        if training:
            self.saved = (records, keys, shape, form)
        if self.returns == "last":
            return h_n[-1] if self.directions == 1 else ops.concat(h_n[-2:])
        output = rows.reshape((*shape, self.directions * self.hidden_size))
        if self.returns == "output":
            return output
        return (output, (self._stacked(h_n), self._stacked(c_n))) if self.has_c else (output, self._stacked(h_n))

    @property
    def has_c(self):
        """Whether there is a second state."""
        return CELLS[self.cell].has_c

    def _taken(self, x):
        """(the array x; the states h and c to begin with, lists with one for each direction of each layer, or None;
        whether they were given)."""
        wanted = "x, (x, (h, c))" if self.has_c else "x, (x, h)"
        form = trees.form(x)
        given = form is not None
        if given and form != ((None, (None, None)) if self.has_c else (None, None)):
            raise TypeError(f"expected {wanted.replace(', ', ' or ', 1)} as x, got another tuple or dictionary")
        x, *states = trees.flat(x)
        axes = "(N, T, " if self.batch_first else "(T, N, "
        if len(x.shape) != 3 or x.shape[2] != self.input_size:
            hint = "; an axis of one sequence is added by x[None] or x[:, None]" if len(x.shape) == 2 else ""
            raise ValueError(f"expected x of shape {axes}{self.input_size}), got x of shape {tuple(x.shape)}{hint}")
        if 0 in x.shape:
            raise ValueError(f"expected x without empty axes, got x of shape {tuple(x.shape)}")
        batch = x.shape[0 if self.batch_first else 1]
        wanted = (self.num_layers * self.directions, batch, self.hidden_size)
        for name, state in zip(("h", "c"), states, strict=False):
            if tuple(state.shape) != wanted:
                raise ValueError(f"expected {name} of shape {wanted}, got {name} of shape {tuple(state.shape)}")
        pieces = [self._pieces(state) for state in states]
        return x, pieces + [None] * (2 - len(pieces)), given

    def _stacked(self, states):
        """States (N, H) as one array (layers and directions, N, H)."""
        n, hidden = states[0].shape
        rows = [state.reshape((1, n * hidden)) for state in states]
        return (rows[0] if len(rows) == 1 else self.ops.concat(rows)).reshape((len(rows), n, hidden))

    def _pieces(self, state):
        """The way back from `_stacked`."""
        if state is None:
            return None
        count, n, hidden = state.shape
        row = state.reshape((1, count * n * hidden))
        rows = [row] if count == 1 else self.ops.split(row, [n * hidden] * count)
        return [one.reshape((n, hidden)) for one in rows]

    # Backward

    @formula
    def backward(self, dy, need_dx=True):
        records, keys, shape, given = self.take_saved()
        ops, trains, directions = self.ops, self.trains(), self.directions
        rows, dh, dc = self._arriving(dy, shape)
        begin_h, begin_c, paths = [], [], self._paths()
        for place in range(len(paths) - 1, -1, -1):
            layer, reverse, path = paths[place]
            x, kept, before = records[place]
            if reverse or directions == 1:
                dxs, parts = [], [rows] * directions if rows is None or directions == 1 else ops.split(
                    rows, [self.hidden_size] * directions)
            w_ih, w_hh, b_ih, b_hh = self._weights(path)
            part = parts[int(reverse)]
            dz, da, h, c = ops.recurrent_backward(
                kept, w_hh, self.cell, None if part is None else part.reshape((*shape, self.hidden_size)),
                dh and dh[place], dc and dc[place], reverse=reverse, batch_first=self.batch_first)
            dz = dz.reshape((len(x), len(w_ih)))
            begin_h.insert(0, h)
            begin_c.insert(0, c)
            if trains:
                da = dz if da is None else da.reshape((len(x), len(w_hh)))
                before = before.reshape((len(x), self.hidden_size))
                self._assign_gradients(path, (ops.linear_backward_weight(dz, x, bias=b_ih is not None),
                                              ops.linear_backward_weight(da, before, bias=b_hh is not None)))
            if layer or need_dx:
                dxs.append(ops.linear_backward_input(dz, w_ih))
            if not reverse and dxs:
                rows = dxs[0] if len(dxs) == 1 else ops.add(*dxs)
                if layer and keys:
                    rows = ops.dropout(rows, self.dropout, keys[layer - 1])
        if not need_dx:
            return None
        dx = rows.reshape((*shape, self.input_size))
        if not given:
            return dx
        return (dx, (self._stacked(begin_h), self._stacked(begin_c))) if self.has_c else (dx, self._stacked(begin_h))

    def _arriving(self, dy, shape):
        """(the gradient for the last layer's output as rows, those for the last states as lists), None for each that
        nobody used."""
        if self.returns == "last":
            states = [dy] if self.directions == 1 else self.ops.split(dy, [self.hidden_size] * 2)
            return None, [None] * (len(self._paths()) - len(states)) + list(states), None
        output, *states = trees.flat(dy)
        if output is not None:
            output = output.reshape((shape[0] * shape[1], self.directions * self.hidden_size))
        states = [self._pieces(state) for state in states]
        return output, *states, *[None] * (2 - len(states))

    def _assign_gradients(self, path, gradients):
        """Those of one direction: (dw, db) for what reads the input, and for what reads the state."""
        for name, gradient in zip(("ih", "hh"), gradients, strict=True):
            for kind, one in zip(("weight", "bias"), gradient, strict=True):
                if one is not None:
                    getattr(self, f"{kind}_{name}{path}").grad = one

    def arguments(self):
        return f"{self.input_size}, {self.hidden_size}" + keywords(
            num_layers=(self.num_layers, 1), **self.own_arguments(), bias=(self.bias, True),
            batch_first=(self.batch_first, False), dropout=(self.dropout, 0.0),
            bidirectional=(self.bidirectional, False), returns=(self.returns, "all"))

    def own_arguments(self):
        """Those that one class alone has, for `keywords`."""
        return {}


class RNN(_Recurrent):
    """At each step h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or, with nonlinearity "relu", max(that, 0).

    x is (T, N, input_size): T steps of N sequences; (N, T, input_size) with `batch_first`. The states h are (layers and
    directions, N, hidden_size). forward takes x, or (x, h) with the states to begin with, which are zero otherwise, and
    gives (y, h): y (T, N, hidden_size), the state of the last layer after each step, and h, the states of all layers
    after the last step. `num_layers` layers stand in a row, and between them is a `dropout`, in training and unless the
    layer is `frozen`. With `bidirectional` each layer has a second cell that goes from the last step to the first, and
    y has its states behind those of the first one.

    What PyTorch has no argument for: `returns="output"` gives y alone, and `returns="last"` the last states of the last
    layer alone, (N, hidden_size times directions), so that the layer can stand in a row with others:

        Sequential(Embedding(64, 32), LSTM(32, 128, batch_first=True, returns="last"), Linear(128, 64))

    Weights start uniform in +-1 / sqrt(hidden_size). ValueError for arguments and inputs that do not fit.
    Source: Elman, Finding structure in time, 1990.

    >>> rnn = RNN(1, 1, nonlinearity="relu", bias=False, returns="output")
    >>> rnn.weight_ih_l0.value = rnn.weight_hh_l0.value = np.array([[1]])  # h' = x + h, a running sum
    >>> rnn(np.float32([1, 2, 3]).reshape(3, 1, 1)).ravel()
    array([1., 3., 6.], dtype=float32)
    """

    options = (*_Recurrent.options, "nonlinearity")

    @named_errors
    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False,
                 dropout=0.0, bidirectional=False, returns="all"):
        self._make(bias, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
                   nonlinearity=nonlinearity, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
                   returns=returns)

    def check(self, nonlinearity, **given):
        return {"nonlinearity": arguments.choice(nonlinearity, ("tanh", "relu"), "nonlinearity")} | super().check(
            **given)

    @property
    def cell(self):
        """The row of `cells`."""
        return f"rnn_{vars(self).get('nonlinearity', 'tanh')}"

    def own_arguments(self):
        return {"nonlinearity": (self.nonlinearity, "tanh")}


class GRU(_Recurrent):
    """At each step, with r, u and n the rows of W_ih, W_hh and the biases in that order,

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr),   u = sigmoid(W_iu x + b_iu + W_hu h + b_hu),
        n = tanh(W_in x + b_in + r (W_hn h + b_hn)),   h' = (1 - u) n + u h.

    Shapes, states and arguments are those of `RNN`.
    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014, in the form of cuDNN.

    >>> gru = GRU(1, 1, returns="output")
    >>> for parameter in gru.parameters():
    ...     parameter.value = np.zeros(parameter.shape)  # u = 1/2: half of the state stays in each step
    >>> gru((np.zeros((3, 1, 1)), np.ones((1, 1, 1)))).ravel()
    array([0.5  , 0.25 , 0.125], dtype=float32)
    """

    cell = "gru"

    @named_errors
    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, returns="all"):
        self._make(bias, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, batch_first=batch_first,
                   dropout=dropout, bidirectional=bidirectional, returns=returns)


class LSTM(_Recurrent):
    """At each step, with i, f, g and o the rows of W_ih, W_hh and the biases in that order,

        i, f, o = sigmoid(W_ih x + b_ih + W_hh h + b_hh) of their rows,   g = tanh(the same of its rows),
        c' = f c + i g,   h' = o tanh(c').

    There are two states, h and c: forward takes x or (x, (h, c)), and gives (y, (h, c)). Apart from that shapes, states
    and arguments are those of `RNN`. proj_size is refused: a Linear after the layer projects.
    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers et al., Learning to forget, 2000.

    >>> lstm = LSTM(1, 1, bias=False)
    >>> lstm.weight_ih_l0.value = np.array([[0], [0], [0], [0]])
    >>> lstm.weight_hh_l0.value = lstm.weight_ih_l0.value  # f = 1/2: half of c stays in each step
    >>> y, (h, c) = lstm((np.zeros((3, 1, 1)), (np.zeros((1, 1, 1)), np.full((1, 1, 1), 8.0))))
    >>> c.ravel()
    array([1.], dtype=float32)
    """

    cell, options = "lstm", (*_Recurrent.options, "proj_size")

    @named_errors
    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, proj_size=0, returns="all"):
        self._make(bias, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, batch_first=batch_first,
                   dropout=dropout, bidirectional=bidirectional, proj_size=proj_size, returns=returns)

    def check(self, proj_size, **given):
        if arguments.integer(proj_size, "proj_size", 0) > 0:
            raise ValueError(f"proj_size must be 0, got {arguments.shown(proj_size)}: states are not projected here; "
                             "let a Linear follow the layer")
        return {"proj_size": 0} | super().check(**given)
