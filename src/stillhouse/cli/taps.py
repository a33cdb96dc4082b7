"""``stillhouse taps``: where a model can be listened to."""

from typing import Annotated

import typer

from stillhouse.cli.options import AllowImports, image_shape


def taps(
    model: Annotated[str, typer.Argument(help="A model ('stillhouse ls models').")],
    classes: Annotated[int, typer.Option(help="How many classes it tells apart.")] = 10,
    image: Annotated[str, typer.Option(help="Its input: channels,height,width.")] = "3,32,32",
    allow_imports: AllowImports = False,
) -> None:
    """List the taps of a model with their shapes (B is the batch)."""
    from rich.console import Console
    from rich.table import Table

    from stillhouse.engine.probe import probe_taps
    from stillhouse.recipes.networks import ModelSection
    from stillhouse.runs.networks import Network

    shape = image_shape(image, "taps")
    section = ModelSection(model=model)
    network = Network(section, classes, shape[0], shape[1], None, allow_imports)
    table = Table(box=None, pad_edge=False)
    table.add_column("tap", style="bold", no_wrap=True)
    table.add_column("module")
    table.add_column("shape", no_wrap=True)
    for row in probe_taps(network.make(0), shape):
        table.add_row(row.tap, row.kind, row.shape)
    Console().print(table)
