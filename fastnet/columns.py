"""Tables of text, as nets, checks and searches print them."""


def table(head, rows, words=1, total=None, remarks=False):
    """Rows of texts under a head, as lines: the first `words` columns to the left, as the last one where it holds
    `remarks`, numbers to the right; and a row of totals below a line."""
    rule = ["-" * max(map(len, column)) for column in zip(head, *rows, *([total] if total else []), strict=True)]
    left = {*range(words), *([len(head) - 1] if remarks else [])}
    return "\n".join(
        "  ".join(cell.ljust(len(line)) if place in left else cell.rjust(len(line))
                  for place, (cell, line) in enumerate(zip(row, rule, strict=True))).rstrip()
        for row in (head, rule, *rows, *([rule, total] if total else [])))
