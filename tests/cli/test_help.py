"""What a user reads before anything is run: help, examples, completion, a misplaced option."""

import inspect
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from stillhouse.cli.app import app
from stillhouse.cli.examples import EXAMPLES

ROOT = typer.main.get_command(app)
COMMANDS = ROOT.commands  # type: ignore[attr-defined]
RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "digits-kd.yaml"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_is_shown_as_it_was_written(monkeypatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name, each in COMMANDS.items():
        shown = each.get_help(each.context_class(each, info_name=f"stillhouse {name}"))
        letters = "".join(shown.split())
        written = [inspect.cleandoc(each.help), *(p.help for p in each.params if p.help)]
        for text in written:  # no bracket, colon or dot of it is markup
            assert "".join(text.split()) in letters, (name, text)
        head = shown.split("\n  Example")[0]
        assert max(map(len, head.splitlines())) <= columns


def test_the_list_of_commands_cuts_no_sentence(command) -> None:
    said = command("--help").out
    assert "..." not in said.split("Commands:")[1]
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_are_commands_that_there_are(line: str) -> None:
    program, name, *arguments = shlex.split(line)
    assert program == "stillhouse"
    COMMANDS[name].make_context(name, arguments)  # it would refuse an option that is not there


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--temperature 4", "a setting of the method kd: --set method.temperature=4"),
        ("--lr=0.5", "a setting of the optimizer sgd: --set optimizer.lr=0.5"),
        ("--epochs 3", "epochs is a key of the recipe: --set epochs=3"),
        ("--seed 4", "it is called seeds here: --set 'seeds=[4]'"),
        ("--batch-size 8", "it is called batch here: --set batch=8"),
        ("--set method=dkd --beta 2", "a setting of the method dkd: --set method.beta=2"),
        ("--teacher_weights t.pt", "teacher.weights=t.pt"),
        ("--rank 3", "not of model: --set 'student={derive: low_rank, rank: 3}'"),
    ],
)
def test_a_key_of_the_recipe_as_an_option_hears_where_it_belongs(command, line, told) -> None:
    said = command("run", RECIPE, *line.split())
    assert said.code == 2
    assert told in said.err
    assert "Traceback" not in said.err


def test_an_option_that_nothing_knows_gets_no_guess(command) -> None:
    assert "stillhouse:" not in command("run", RECIPE, "--frobnicate").err
    assert "it is called --batch here" in command("distill", "--batch-size", 3).err


def test_a_shell_completes_commands_options_and_choices() -> None:
    def completed(words: str) -> list[str]:
        environ = {
            **os.environ,
            "_STILLHOUSE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        code = "import sys; sys.argv[0] = 'stillhouse'; from stillhouse.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
        ).stdout.split()

    assert completed("stillhouse sy") == ["synthesize"]
    assert completed("stillhouse export --ta") == ["--target"]
    assert completed("stillhouse export run --target v") == ["vnni"]
