"""A depthwise convolution with the 1x1 convolutions before and behind it, in bands of rows.

Between the convolutions of an inverted residual (Sandler et al., MobileNetV2, 2018) an image has six times as many
channels as at its ends, and few products are made with each number: to write such images to main memory, and to read
them again, takes longer than to compute them. So a block takes a band, some rows of one image of the result, through
all three convolutions, and what lies between them stays in its thread's second cache:

    x, the rows that the band's windows reach  --expand-->  wide rows  --grouped-->  wide rows  --project-->  y

Neighbouring bands share some of the first wide rows, which both compute. Either 1x1 convolution may be missing. The
kernels are those of `depthwise` and of `direct` or `amx`, called by their addresses with arrays that begin at the band:
so the numbers are the same, to the last bit, as those of one convolution after the other.
"""
import functools
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import epilogue as epilogues
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.amx import AmxTables
from fastnet.kernels.cpu.conv.chain_plan import Chain, StagePlan, bands_of, by_matrices, stages_of
from fastnet.kernels.cpu.conv.direct_tables import Tables
from fastnet.kernels.cpu.conv.operands import NUMBERS, Operands
from fastnet.kernels.cpu.conv.ops import PackedWeights
from fastnet.kernels.cpu.epilogue import Epilogue
from fastnet.kernels.cpu.runtime import (
    Launch,
    call,
    empty_images,
    entry,
    flat,
    in_turn,
    in_words,
    jit,
    kept,
    made_for,
    named,
    part,
    scratch,
)
from fastnet.kernels.shapes import Kind

# What lies between the scratch memory of two threads: processors ask for lines ahead up to the end of a page of this
# size, and threads would take them away from one another.
_PAGE = 4096


def conv2d_chain_inference(x, packed, grouped, where, activations, add=None):
    """Convolutions one after the other, each followed by its activation, and `add` added before the last of these: a
    1x1 convolution, or none; a grouped one with ``where`` = (stride, padding, dilation, groups); a 1x1 one, or none.
    `packed` lists their weights, each from `conv2d_pack`, and `grouped` is the grouped one's place in that list.

    ValueError where `chain_plan.bands_of` has no bands for them."""
    for one in packed:
        checks.conv2d_packed(one, PackedWeights)
    x, where = checks.floating(x, "x"), checks.conv2d_where(*where)
    first, last = not grouped, grouped == len(packed) - 1   # whether there is no 1x1 convolution
    packed, activations = (  # with None for those
        [*[None] * first, *given, *[None] * last] for given in (packed, activations))
    chain = Chain(x.shape, *(one and one.w.shape for one in packed), where)
    convolve = _convolution(chain, x.dtype, by_matrices(chain, x.dtype))
    y = empty_images(*convolve.chain.y, x.dtype)
    kind = Kind(y.shape, x.dtype)
    for activation in activations:
        epilogues.checked(kind, None, activation)
    add, _ = epilogues.checked(kind, add)
    convolve(flat(x), packed, flat(y), activations, add)
    return y


class _Images(NamedTuple):
    x: np.ndarray
    y: np.ndarray


class _Weights(NamedTuple):
    """What the convolutions have packed, empty for one that is missing."""

    expand: np.ndarray
    expand_bias: np.ndarray
    grouped: np.ndarray
    grouped_bias: np.ndarray
    project: np.ndarray
    project_bias: np.ndarray


class _Stage(NamedTuple):
    """A convolution as the kernel sees it, see `chain_plan.Stage`."""

    plans: np.ndarray
    numbers: np.ndarray


class _Tables(NamedTuple):
    expand: Tables | AmxTables
    project: Tables | AmxTables


class _Numbers(NamedTuple):
    plan: np.ndarray
    bands: np.ndarray
    expand: _Stage
    grouped: _Stage
    project: _Stage


class _Epilogues(NamedTuple):
    """Of the convolutions; what comes last has the one for y."""

    expanded: Epilogue
    convolved: Epilogue
    last: Epilogue


class _Plan(NamedTuple):
    kinds: int
    bands: int      # of an image
    x_size: int     # numbers of an image
    y_size: int
    expands: int    # whether there are 1x1 convolutions
    projects: int
    made: int       # in a slot's memory: the wide rows that the grouped convolution makes, behind those it reads,
    copied: int     # and behind them what it needs itself, or a 1x1 one
    memory: int     # of a slot, with what lies between two of them


class _Start(NamedTuple):
    """Where in an image of x and of y a band begins, and how many numbers it has there."""

    kind: int
    x: int
    x_size: int
    y: int
    y_size: int


class ConvolutionChain:
    """y from x, all worked out but the numbers; `matrices` is what `by_matrices` tells."""

    def __init__(self, chain, dtype, matrices):
        (n, c, h, w), (_, wide, _, q), (_, k, p, _) = chain.x, chain.made, chain.y
        self.chain, self.dtype, bands, lanes = chain, dtype, bands_of(chain, dtype), simd.width(dtype)
        if bands is None:
            raise ValueError(f"no bands for {chain}: call conv2d_inference for one convolution after the other")
        kinds = list(dict.fromkeys(band.kind for band in bands))
        self.stages = expand, grouped, project = stages_of(chain, kinds, dtype, matrices)
        read = max(read for _, read, _, _ in kinds) * w * wide if chain.expand else 0
        made = max(made for made, _, _, _ in kinds) * q * wide if chain.project else 0
        at, copied = -(-read // lanes) * lanes, -(-read // lanes) * lanes + -(-made // lanes) * lanes
        self.memory = copied + max(stage.memory for stage in self.stages) + _PAGE // dtype.itemsize
        self.numbers = _Numbers(
            in_words(_Plan(len(kinds), len(bands), c * h * w, k * p * q, chain.expand is not None,
                           chain.project is not None, at, copied, self.memory)),
            in_words(*(_Start(kinds.index(band.kind), band.top * w * c, (band.bottom - band.top) * w * c,
                              band.first * q * k, (band.stop - band.first) * q * k) for band in bands)),
            *(_Stage(stage.plans, stage.numbers) for stage in self.stages))
        self.tables, self.nothing = _Tables(expand.tables, project.tables), np.zeros(0, dtype)
        work = sum(n * prod(size) * prod(shape[1:]) for size, shape in (
            ((wide, h, w), chain.expand), ((wide, p, q), chain.grouped), ((k, p, q), chain.project)) if shape)
        self.launch, self._complete = Launch(_kernel(*matrices), n * len(bands), work), False

    def __call__(self, x, packed, y, activations, add):
        """Fill y; `packed` are PackedWeights or None, and x, y and add are flat."""
        forms = []
        for stage, weights in zip(self.stages, packed, strict=True):
            forms += [self.nothing] * 2 if weights is None else weights.form(stage.way, self.dtype)
        memory = scratch(self.memory, self.dtype, self.launch.work)
        expanded, convolved = (epilogues.make(memory, None, activation) for activation in activations[:2])
        last = epilogues.make(y, add, activations[2 if self.chain.project else 1])
        if not self._complete:
            in_turn(self.complete, [library for stage in self.stages for library in stage.wanted])
        self.launch(_Images(x, y), _Weights(*forms), self.tables, memory, self.numbers,
                    _Epilogues(expanded, convolved, last))

    def complete(self):
        """Have all that only machine code can tell, which is compiled by then; see `Stage.complete`."""
        for stage in self.stages:
            stage.complete()
        self._complete = True


_convolution = kept(ConvolutionChain)


@functools.cache
def _kernel(expands, projects):
    """The kernel for chains of which these 1x1 convolutions are computed `by_matrices`."""
    expand, project = (_multiply if one else _convolve for one in (expands, projects))

    @jit
    @made_for(*("matrices" if one else "tiles" for one in (expands, projects)))
    def chain(block, slot, images, weights, tables, memory, numbers, epilogues):
        """Take one band of one image through all convolutions."""
        plan, last, convolved = named(_Plan, numbers.plan), epilogues.last, epilogues.convolved
        band, image, here = entry(_Start, numbers.bands, block % plan.bands), block // plan.bands, slot * plan.memory
        to, n = image * plan.y_size + band.y, band.y_size
        y, made = part(images.y, to, n), part(memory, here + plan.made, plan.copied - plan.made)
        last = Epilogue(last.level, part(last.add, to, n), last.adding, last.bend, last.function,
                        part(last.mask, to, n), last.masked, last.masking, last.derivative)
        read = part(images.x, image * plan.x_size + band.x, band.x_size)
        copied = part(memory, here + plan.copied, plan.memory - plan.copied)
        if plan.expands:
            x, read = read, part(memory, here, plan.made)
            expand(band.kind, plan.kinds, numbers.expand, tables.expand, copied,
                   Operands(x, weights.expand, weights.expand_bias, read), epilogues.expanded)
        if not plan.projects:
            made, convolved = y, last
        operands = Operands(read, weights.grouped, weights.grouped_bias, made)
        stage, size = entry(StagePlan, numbers.grouped.plans, band.kind), numbers.grouped.numbers.size // plan.kinds
        own = part(numbers.grouped.numbers, band.kind * size, size)
        for piece in range(stage.blocks):
            call(stage.kernel, (piece, 0, operands, copied, own, convolved))
        if plan.projects:
            project(band.kind, plan.kinds, numbers.project, tables.project, copied,
                    Operands(made, weights.project, weights.project_bias, y), last)

    return chain


@jit
def _convolve(kind, kinds, stage, tables, memory, operands, epilogue):
    """All blocks of a 1x1 convolution of a band, by `direct`, which needs no memory. Its kind has an equal part of the
    numbers, and of the grids."""
    plan, size, words = entry(StagePlan, stage.plans, kind), stage.numbers.size // kinds, tables.grids.size // kinds
    own, grids = part(stage.numbers, kind * size, size), part(tables.grids, kind * words, words)
    tables = Tables(tables.reads, tables.writes, tables.strips, grids, tables.zeros)
    for block in range(plan.blocks):
        call(plan.kernel, (block, 0, operands, tables, own, epilogue))


@jit
def _multiply(kind, kinds, stage, tables, memory, operands, epilogue):
    """The same by `amx`, of whose tables each kind has an equal part."""
    plan, size = entry(StagePlan, stage.plans, kind), stage.numbers.size // kinds
    taps, grids, phases, lines = (tables.taps.size // kinds, tables.grids.size // kinds, tables.phases.size // kinds,
                                  tables.lines.size // kinds)
    own = part(stage.numbers, kind * size, size)
    tables = AmxTables(part(tables.taps, kind * taps, taps), part(tables.grids, kind * grids, grids),
                       part(tables.phases, kind * phases, phases), part(tables.lines, kind * lines, lines))
    for block in range(plan.blocks):
        call(plan.kernel, (block, 0, operands, memory, tables, own, epilogue, NUMBERS))
