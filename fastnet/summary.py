"""Tables of a net: what each layer gives and holds and computes, and by which steps and algorithms."""

HEAD = ("name", "layer", "output shape", "parameters", "multiply-adds")
STEPS = ("step", "output shape", "computed by")
DIRECTIONS = {"forward": "", "backward_input": "input gradient: ", "backward_weight": "weight gradient: "}


def summary(net, input_shape):
    """The `Summary` of `net` for an x of `input_shape`, batch included, as in ``print(summary(net, (1, 3, 32, 32)))``.

    ValueError, as from the layer itself, where the shape does not fit.
    """
    rows = []
    _collect(net, "", input_shape, rows)
    return Summary(rows, tuple(input_shape), net.output_shape(input_shape))


class Summary:
    """`rows`, one for each layer that holds no others: (name, layer, output shape, parameters, multiply-adds);
    `parameters` and `multiply_adds`, the totals. It prints as a table."""

    def __init__(self, rows, input_shape, output_shape):
        self.rows, self.input_shape, self.output_shape = rows, input_shape, output_shape
        self.parameters = sum(row[3] for row in rows)
        self.multiply_adds = sum(row[4] for row in rows)

    def __str__(self):
        body = [(name, layer, str(shape), f"{count:,}", f"{work:,}") for name, layer, shape, count, work in self.rows]
        total = ("total", "", str(self.output_shape), f"{self.parameters:,}", f"{self.multiply_adds:,}")
        widths = [max(map(len, column)) for column in zip(HEAD, *body, total, strict=True)]
        rule = "  ".join("-" * width for width in widths)
        lines = [_line(HEAD, widths), rule, *(_line(row, widths) for row in body), rule, _line(total, widths)]
        return f"input shape {self.input_shape}\n" + "\n".join(lines)

    __repr__ = __str__


def explain(net, input_shape, dtype="float32"):
    """The `Explanation` of what runs for an x of `input_shape`, batch included, as in ``print(explain(net, (128, 3, 32,
    32)))``: the steps with the layers fused into each, and for each convolution the algorithm and why it was chosen.
    A batch norm in one step with a convolution is folded into its weights at inference.

    ValueError, as from the layer itself, where the shape does not fit.
    """
    rows = []
    net.output_shape(input_shape)
    _explain(net, tuple(input_shape), dtype, 0, rows)
    return Explanation(rows, tuple(input_shape), dtype, net.backend)


class Explanation:
    """`rows`, one for each step: (depth, step, output shape, lines that tell how it is computed). It prints as a table.

    Steps within a step, such as the body of a `Residual`, follow it and are indented. A line for a gradient is left out
    where it says the same as the one for the forward pass.
    """

    def __init__(self, rows, input_shape, dtype, backend):
        self.rows, self.input_shape, self.dtype, self.backend = rows, input_shape, dtype, backend

    def __str__(self):
        body = []
        for depth, step, shape, how in self.rows:
            body.append(("  " * depth + step, str(shape), how[0] if how else ""))
            body += [("", "", line) for line in how[1:]]
        widths = [max(map(len, column)) for column in zip(STEPS, *body, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                 for row in (STEPS, tuple("-" * width for width in widths), *body)]
        return f"input shape {self.input_shape}, {self.dtype}, backend {self.backend!r}\n" + "\n".join(lines)

    __repr__ = __str__


def _explain(layer, shape, dtype, depth, rows):
    """Append the rows of the steps that the layer runs."""
    if hasattr(layer, "plan"):
        for step in layer.plan(shape).steps:
            _explain_step(repr(step), step.layers, shape, dtype, depth, rows)
            for part in step.layers:
                shape = tuple(part.output_shape(shape))
    else:
        _explain_step(layer.label, [layer], shape, dtype, depth, rows)


def _explain_step(text, layers, shape, dtype, depth, rows):
    output = shape
    for layer in layers:
        output = tuple(layer.output_shape(output))
    first, how = layers[0], []
    for direction, (name, reason) in first.algorithms(shape, dtype).items():
        line = f"{name}: {reason}"
        if not how or line != how[0]:
            how.append(DIRECTIONS[direction] + line)
    rows.append((depth, text, output, how))
    children = dict(first.named_children())
    for child, child_shape in first.inner_shapes(shape).items():
        _explain(children[child], child_shape, dtype, depth + 1, rows)


def _collect(layer, name, input_shape, rows):
    """Append the row of the layer, or those of the layers inside, in the order they are written."""
    inner = layer.inner_shapes(input_shape)
    children = dict(layer.named_children())
    if not inner:
        count = sum(parameter.size for parameter in layer.parameters())
        text = f"{type(layer).__name__}({layer.arguments()})"
        rows.append((name, text, tuple(layer.output_shape(input_shape)), count, layer.multiply_adds(input_shape)))
    for child, shape in inner.items():
        _collect(children[child], f"{name}.{child}" if name else child, shape, rows)


def _line(cells, widths):
    """Words to the left, numbers to the right."""
    words = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join(words + numbers)
