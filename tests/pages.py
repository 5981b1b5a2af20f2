"""The code of README.md and of the pages in docs/: its blocks, how many statements they are, and their run."""
import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def text(page):
    """What stands in a page, "README.md" or one of docs/."""
    return (ROOT if page == "README.md" else DOCS).joinpath(page).read_text(encoding="utf-8")


def blocks(page):
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)


def sections(page):
    """Title and first block of each section that has one."""
    return re.findall(r"^## (.*)\n(?:(?!^## ).*\n)*?```python\n((?:.*\n)*?)```", text(page), re.MULTILINE)


def statements(block):
    """How many statements, those within others included, and no imports."""
    return sum(isinstance(node, ast.stmt) and not isinstance(node, (ast.Import, ast.ImportFrom))
               for node in ast.walk(ast.parse(block)))


def run(some, page):
    """Run blocks one after the other, as in one session; what there is afterwards."""
    namespace = {"__name__": "page"}
    for block in some:
        exec(compile(block, page, "exec"), namespace)
    return namespace
