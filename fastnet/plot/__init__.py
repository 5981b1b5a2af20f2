"""Pictures: of a training, of what a net holds and says, of how it is made.

Every function draws into the matplotlib axes ``ax``, or into new ones where ``ax`` is None, and returns the axes. Only
new axes need matplotlib to be importable here: ``pip install "fastnet-numba[plot]"``. Colours of text and lines are
those of matplotlib's style, so that ``plt.style.use("dark_background")`` works.
"""
from fastnet.plot.classes import confusion, confusion_matrix, decision_regions
from fastnet.plot.curves import curves, lr_range, paths, search
from fastnet.plot.pictures import activation_maps, filters, images, misclassified, neighbours, overlay, templates
from fastnet.plot.structure import effective_receptive_field, graph

__all__ = ["activation_maps", "confusion", "confusion_matrix", "curves", "decision_regions",
           "effective_receptive_field", "filters", "graph", "images", "lr_range", "misclassified", "neighbours",
           "overlay", "paths", "search", "templates"]
