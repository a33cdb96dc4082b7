"""The wheel carries the recipes, which lie beside the package in the repository."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class WithRecipes(build_py):
    """Put them where `stillhouse.recipes.ready` looks."""

    def run(self) -> None:
        """Build as always, then copy."""
        super().run()
        if self.editable_mode:  # then they are read where they lie
            return
        for path in sorted((HERE / "recipes").rglob("*.yaml")):
            to = Path(self.build_lib, "stillhouse/ready", path.relative_to(HERE / "recipes"))
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


setup(cmdclass={"build_py": WithRecipes})
