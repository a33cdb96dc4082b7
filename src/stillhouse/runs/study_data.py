"""Data of a study: what several arms share is loaded once."""

from stillhouse.data.load import Splits
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.recipes.schema import Recipe
from stillhouse.runs.feeds import Feeds, open_feeds, open_splits

SHOWN = {"augment", "view_seed", "views", "workers"}
"""Keys of the data section that say how samples are shown, not which there are."""


class SharedData:
    """Feeds for one recipe after another."""

    def __init__(self) -> None:
        self._splits: dict[str, Splits] = {}
        self._feeds: dict[tuple[str, int, str, str], Feeds] = {}
        self._platforms: dict[tuple[str, str], Platform] = {}

    def feeds(self, recipe: Recipe) -> Feeds:
        """The data of a recipe; tables are loaded when the first recipe asks for them."""
        wanted = (recipe.device, recipe.precision)
        key = (recipe.data.model_dump_json(), recipe.batch, *wanted)
        if key not in self._feeds:
            if wanted not in self._platforms:
                self._platforms[wanted] = open_platform(
                    device=recipe.device, precision=recipe.precision
                )
            loaded = recipe.data.model_dump_json(exclude=SHOWN)
            if loaded not in self._splits:
                self._splits[loaded] = open_splits(recipe.data)
            self._feeds[key] = open_feeds(
                recipe.data, recipe.batch, self._platforms[wanted], splits=self._splits[loaded]
            )
        return self._feeds[key]
