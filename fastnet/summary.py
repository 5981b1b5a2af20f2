"""A table of a net: what each layer gives, how many parameters it has, how much it computes."""

HEAD = ("name", "layer", "output shape", "parameters", "multiply-adds")


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
