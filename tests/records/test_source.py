"""The source of code is the same text on every Python, and only a change of code changes it."""

import ast
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stillhouse.records.source import canonical, class_source, function_source, global_names

EVERY_SYNTAX = Path(__file__).with_name("every_syntax.txt")
GOLDEN = "1394d1fdd40cd6724ac74f05dfc3f0c0f141455063307b1d11aa9207fd455bf4"
"""Of the file above, on Python 3.11, 3.12 and 3.13: another hash would refuse every old run."""
SHOW = """
import ast, hashlib, importlib.machinery, importlib.util, sys
sys.path.insert(0, sys.argv[2])
from stillhouse.records.source import canonical, class_source, function_source, global_names
text = canonical(ast.parse(open(sys.argv[1], encoding="utf-8").read()))
print(hashlib.sha256(text.encode()).hexdigest())
loader = importlib.machinery.SourceFileLoader("every_syntax", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("every_syntax", loader))
sys.modules["every_syntax"] = module
loader.exec_module(module)
for name in "decorate agen match_value textual one other nested third multi".split():
    function = getattr(module, name)
    print(name, function_source(function), global_names(function.__code__))
for each in (*module.same, *module.choice, *module.Point.lambdas(), module.nested(1)):
    print(function_source(each))
for each in (module.Point, module.Point.Inner, module.Twice):
    print(class_source(each))
"""


def shown(python: str) -> str:
    src = str(Path(sys.modules["stillhouse"].__file__).parents[1])
    call = [python, "-B", "-c", SHOW, str(EVERY_SYNTAX), src]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout


def test_the_text_is_the_same_on_every_python() -> None:
    assert shown(sys.executable).splitlines()[0] == GOLDEN


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_other_pythons_agree(minor: int) -> None:
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"there is no Python 3.{minor} here")
    assert shown(python) == shown(sys.executable)


def told(text: str) -> str:
    return canonical(ast.parse(text))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("def f(a): return a", "def f(a):\n\n    # why\n    'what'\n    return (a)"),
        ("class A:\n    x = 1", "class A:\n    'what'\n    x=1;"),
        ("a = 1000", "a = 1_000"),
        ("a = 'x' 'y'", 'a = "xy"'),
        ("f'a{b}c'", "f'a' f'{b}' 'c'"),
    ],
)
def test_formatting_changes_nothing(text: str, same: str) -> None:
    assert told(text) == told(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("a = 1", "a = True"),
        ("a = 1", "a = 1.0"),
        ("a = '1'", "a = b'1'"),
        ("a = None", "a = 0"),
        ("a.b", "a.c"),
        ("def f(a, /, b): ...", "def f(a, b): ..."),
        ("def f(*, a=None, b): ...", "def f(*, a, b=None): ..."),
        ("{**a}", "{a: a}"),
        ("f'{a}'", "f'{a!r}'"),
        ("f'{a}b'", "f'{a:b}'"),
        ("match a:\n    case None: ...", "match a:\n    case True: ..."),
        ("async def f(): ...", "def f(): ..."),
        ("x = 'a'\n'b'", "x = 'a'"),
    ],
)
def test_any_change_of_code_is_seen(text: str, other: str) -> None:
    assert told(text) != told(other)


def test_a_deep_tree_is_no_problem() -> None:
    assert told("+".join(["a"] * 900)).count("BinOp") == 899


def module_of(folder: Path, text: str) -> ModuleType:
    path = folder / f"made_{hashlib.sha256(text.encode()).hexdigest()[:8]}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "line",
    [
        "a, b = lambda x: x + 1, lambda x: x + 2",
        "é, a, b = 1, lambda x: x + 1, lambda x: x + 2",
        "a = lambda x: x + 1; b = lambda x: x + 2",
        "b = (lambda: lambda x: x + 2)(); a = (lambda x, c=(lambda: 1): x + 1)",
        "a, b = [\n  lambda x: x + 1,\n  lambda x: x + 2]",
        "a, b = sorted([lambda x: x + 2, lambda x: x + 1], key=lambda f: f(0))",
    ],
)
def test_lambdas_of_one_line_are_told_apart(line: str, tmp_path: Path) -> None:
    made = module_of(tmp_path, line)
    for function, number in ((made.a, 1), (made.b, 2)):
        assert f"body=BinOp(left=Name(id='x'),op=Add(),right=int({number}))" in function_source(
            function
        )


def test_a_function_has_its_decorators_and_its_own_name(tmp_path: Path) -> None:
    made = module_of(
        tmp_path,
        "def keep(f): return f\n@keep\n@keep\ndef f(): return 1\n"
        "class A:\n    def f(self): return 2",
    )
    assert function_source(made.f).count("id='keep'") == 2
    assert "int(2)" in function_source(made.A.f)
    assert "int(2)" in class_source(made.A)


def test_what_has_no_source_is_none(tmp_path: Path) -> None:
    namespace: dict = {}
    exec("def f(): ...\ng = lambda: 1", namespace)
    assert function_source(namespace["f"]) is function_source(namespace["g"]) is None
    assert class_source(int) is None
    assert class_source(type("Made", (), {})) is None
    made = module_of(tmp_path, "def f(): ...")
    Path(made.__file__).write_text("def f(:")  # edited since, and not yet finished
    assert function_source(made.f) is None


def test_a_file_that_is_edited_while_it_runs_changes_nothing(tmp_path: Path) -> None:
    made = module_of(tmp_path, "def f(): return 1\nclass A:\n    n = 1")
    before = function_source(made.f), class_source(made.A)
    Path(made.__file__).write_text("def f(): return 2\nclass A:\n    n = 2")
    assert (function_source(made.f), class_source(made.A)) == before


def test_names_are_those_that_are_only_read(tmp_path: Path) -> None:
    made = module_of(
        tmp_path,
        "def f(x):\n    global count\n    count = count + step\n    return [len(i) for i in x]",
    )
    assert global_names(made.f.__code__) == ["len", "step"]
