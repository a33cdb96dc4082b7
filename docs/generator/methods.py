"""A card for each method: its docstring, its settings, and the rows of the result files."""

import inspect
import re
from collections.abc import Sequence

from generator.markdown import entries, literal, prose, table
from generator.result_pages import page_of, written_card
from generator.schema import default, takes
from stillhouse.methods import METHODS, Method
from stillhouse.recipes.choices import choice_of
from tables.by_method import Measured, by_method

MOST_ROWS = 8
"""Rows of one study on a card, in its order; its page has all."""


def cards() -> dict[str, str]:
    """The pages, by their names in the folder of generated pages."""
    measured = by_method()
    pages = {f"methods/{each.name}.md": card(each, measured.get(each.name, [])) for each in METHODS}
    return {"methods.md": overview(measured), **pages}


def overview(measured: dict[str, list[Measured]]) -> str:
    """All methods on one page, with the row of the study that tried most of them."""
    parts = [
        "# All methods\n",
        "One row for each method of the catalogue; its name leads to its card. The last column is "
        "from one study, [the catalogue](../evidence/catalogue.md): CIFAR-100, 10,000 images, 12 "
        "epochs, every method at its defaults, in points of test accuracy over the student alone. "
        "A short budget: it says where to begin, not which method is best.\n",
    ]
    families = dict.fromkeys(method.family for method in METHODS)
    for family in families:
        parts.append(f"## {(family or 'The control').capitalize()}\n")
        rows = []
        for method in (each for each in METHODS if each.family == family):
            told = [m for m in measured.get(method.name, []) if m.file == "cifar100-methods.json"]
            own = next((m for m in told if m.arm == method.name), None)
            gain = f"{own.gain}, {own.word}" if own else ""
            line = literal(method.line)
            rows.append([f"[{method.name}](methods/{method.name}.md)", line, needs(method), gain])
        parts.append(table(["method", "what", "needs", "gain"], rows) + "\n")
    names = "\n".join(f"methods/{method.name}" for method in METHODS)
    parts.append(f"```{{toctree}}\n:hidden:\n\n{names}\n```\n")
    return "\n".join(parts)


def card(method: Method, measured: Sequence[Measured]) -> str:
    """One method."""
    said = inspect.getdoc(method.build) or ""
    parts = [f"# {method.name}\n", prose(said) + "\n"]
    facts = [f"**Family**: {method.family}"] if method.family else []
    facts.append(f"**Needs**: {needs(method)}")
    for title in ("Paper", "Differs from the authors' code"):
        text = linked(section(said, title))
        facts += [f"**{title}**: {text}"] if text else []
    parts.append("\n".join(f"- {fact}" for fact in facts) + "\n")
    beside = f"../../methods/{written_card(method.name)}#{method.name}"
    parts.append(
        f"What was published, and where the defaults come from: [{method.name}]({beside}).\n"
    )
    parts += ["## Settings\n", settings(method, said)]
    parts += ["## Use it\n", use(method)]
    parts += ["## Measured here\n", rows(measured)]
    parts += ["## In code\n", autodoc(method)]
    return "\n".join(parts)


def needs(method: Method) -> str:
    """What it takes beside the student."""
    wants = [word for word, is_so in (("a teacher", method.needs_teacher),
                                      ("peers", method.needs_peers)) if is_so]  # fmt: skip
    return " and ".join(wants) or "the student alone"


def section(docstring: str, title: str) -> str:
    r"""What a docstring says under a title, on one line.

    >>> section("A.\n\nPaper: One\n    2020.\n\nEnd.", "Paper")
    'One 2020.'
    """
    found = re.search(rf"^{title}:(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    return literal(" ".join(found[1].split())) if found else ""


def linked(text: str) -> str:
    """Numbers of arXiv as links.

    >>> linked("Hinton 2015, arXiv 1503.02531")
    'Hinton 2015, [arXiv 1503.02531](https://arxiv.org/abs/1503.02531)'
    """
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def settings(method: Method, said: str) -> str:
    """Its settings as a recipe takes them."""
    schema, meant = choice_of(method.build).model_json_schema(), entries(said, "Args")
    found = [
        [f"`{name}`", takes(value), default(value, needed=False), meant.get(name, "")]
        for name, value in schema["properties"].items()
        if name in method.settings
    ]
    return (
        table(["setting", "takes", "default", "what"], found) if found else "It has none."
    ) + "\n"


def use(method: Method) -> str:
    """How a recipe and a command name it."""
    lines = ["data: digits", "student: convnet-8-16"]
    lines += ["teacher: resnet20"] if method.needs_teacher else []
    lines += ["peers: 1"] if method.needs_peers else []
    recipe = "\n".join([*lines, f"method: {method.name}"])
    said = "In a recipe; what networks, data and tasks it fits says `stillhouse check`:"
    return f"{said}\n\n```yaml\n{recipe}\n```\n"


def rows(measured: Sequence[Measured]) -> str:
    """The rows of the result files, with the page that tells their study."""
    if not measured:
        return "Not measured here yet: there is no result file in which it is an arm of its own.\n"
    shown, parts = [], []
    for file in dict.fromkeys(each.file for each in measured):
        of_file = [each for each in measured if each.file == file]
        for each in of_file[:MOST_ROWS]:
            shown.append([each.data, each.networks, each.arm, each.student, each.gain, each.word])
        left = len(of_file) - MOST_ROWS
        more = f"; {left} further arms are there" if left > 0 else ""
        parts.append(f"- `benchmarks/results/{file}`{page_of(file)}{more}")
    titles = ["data", "networks", "arm", "student, test", "gain over its control", "word"]
    told = "Gains have 95 % intervals over seeds; words are corrected for the arms of their study."
    return f"{table(titles, shown)}\n\n{told}\n\n" + "\n".join(parts) + "\n"


def autodoc(method: Method) -> str:
    """The docstring as it is."""
    where = f"{method.build.__module__}.{method.name}"
    return f"```{{eval-rst}}\n.. autofunction:: {where}\n```\n"
