"""The form of the image that a network reads, where it is not the data's."""

from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.recipes.networks import InputSection
from stillhouse.recipes.section import Section
from stillhouse.runs.job.data import JobData


def role_of(section: Section) -> str:
    """What a section speaks of: teacher, student."""
    return type(section).__name__.removesuffix("Section").lower()


def input_of(section: Section) -> InputSection | None:
    """What a section says of the network's own form of the image, if it can and does."""
    found: InputSection | None = getattr(section, "input", None)
    return found


def make_input(section: Section, data: JobData) -> InputAdapter | None:
    """A network's own form of the image, if its section asks for one."""
    wanted = input_of(section)
    if wanted is None:
        return None
    if min(wanted.shape(data.image_shape)) < 1:
        sides = " x ".join(map(str, data.image_shape[1:]))
        said = f"pad {list(wanted.pad or ())} cuts away all of an image of {sides}"
        raise RecipeError(f"{role_of(section)}.input", [f"{said}; give fewer pixels"])
    mean, std = data.augment.mean, data.augment.std
    if wanted.channels is not None and wanted.mean is None and wanted.channels != len(mean):
        mean_of, std_of = sum(mean) / len(mean), sum(std) / len(std)
        to_mean, to_std = (mean_of,) * wanted.channels, (std_of,) * wanted.channels
    else:
        to_mean, to_std = wanted.mean or mean, wanted.std or std
    if wanted.order == "bgr" and wanted.mean is None:
        to_mean, to_std = tuple(to_mean[::-1]), tuple(to_std[::-1])
    fed = wanted.channels or data.image_shape[0]
    if len(to_mean) not in (1, fed):
        said = f"input.mean and std have {len(to_mean)} numbers, and the channels are {fed}"
        more = f", or input.channels: {len(to_mean)}" if len(to_mean) == 3 else ""
        raise RecipeError(role_of(section), [f"{said}; give {fed} of each{more}"])
    return InputAdapter(
        mean,
        std,
        to_mean=to_mean,
        to_std=to_std,
        size=wanted.size,
        pad=wanted.pad,
        channels=wanted.channels,
        bgr=wanted.order == "bgr",
    )


def enlarged_caution(role: str, section: Section, data: JobData) -> str | None:
    """What to say of a network that is shown enlarged images, whose sources have the pixels."""
    wanted, stored = input_of(section), data.splits.stored_side
    if wanted is None or wanted.size is None or stored is None:
        return None
    shown = data.image_shape[1]
    size = wanted.size if isinstance(wanted.size, int) else max(wanted.size)
    if size <= shown or stored <= shown:
        return None
    return (
        f"{role}: it reads images of {size} and is shown those of data.size {shown}, "
        f"enlarged, while the source has {stored}; a view is made once, so make it as large as the "
        f"largest network reads: data: {{size: {min(size, stored)}}}, and give the smaller "
        f"one input: {{size: {shown}}}"
    )


def fed(stage: Stage, data: JobData) -> Stage:
    """The stage whose networks read what a batch of these data holds for each role."""
    return stage.with_inputs(data.reads("teacher"), of=["teacher"]).with_inputs(data.reads())


def reading(stage: Stage, role: str, adapter: InputAdapter | None) -> Stage:
    """The stage with a role that reads its own form of the image."""
    if adapter is None:
        return stage
    return stage.through(role, Bridge(f"{role}_image", adapter, "batch.image"))


def behind(adapter: InputAdapter | None, module: nn.Module) -> nn.Module:
    """A network as a function of the data's image: behind its own form of it."""
    return module if adapter is None else nn.Sequential(adapter, module)
