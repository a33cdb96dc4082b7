"""Networks of a run: made by name, by a function of the user's, or given as they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import held_in_eval
from stillhouse.engine.frozen import frozen_parts, learning_told
from stillhouse.engine.heads import NO_HEAD, find_head, without_head
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.taps import tap_problem
from stillhouse.errors import ModelError, RecipeError, WeightsError, WeightsMisfit
from stillhouse.models import (
    LoadedWeights,
    build_model,
    comes_trained,
    weights_fingerprint,
)
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.family import TokenFacts
from stillhouse.models.fresh import made_anew
from stillhouse.models.given import Scripted, cast_at_border, cast_to, copied, unwrapped
from stillhouse.models.outputs import NamedOutputs
from stillhouse.recipes.networks import ModelSection, StudentSection, TeacherSection
from stillhouse.recipes.weights import PRETRAINED
from stillhouse.records.code import module_identity
from stillhouse.records.own_code import IMPORT, call_own, imported
from stillhouse.runs.job.class_order import class_order, own_width, put_in_order
from stillhouse.runs.job.classifiers import cut_head, put_head, with_cosines
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.inputs import input_of, role_of
from stillhouse.runs.job.start import Origin, built_name, origin_of, read_file
from stillhouse.students.quantised import is_quantised, quantised
from stillhouse.students.quantised.network import rounding_layers

Source = nn.Module | Callable[..., nn.Module]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""By their names in a recipe."""


def _as_it_is(network: nn.Module) -> nn.Module:
    return network


@dataclass(frozen=True)
class Network:
    """How to make one network, again and again.

    Args:
        section: its part of the recipe.
        classes, channels: of the data.
        size: of its images: a side, or height and width.
        source: a module (copied) or a function that makes one, instead of the name. A function
            (also ``python:MODULE:FUNCTION``) is called with those of ``classes`` (or
            ``num_classes``, ``n_classes``), ``channels`` (``in_channels``, ``in_chans``) and
            ``size`` that it names; one with ``**kwargs`` gets ``classes`` and ``channels``.
        allow_imports: whether ``python:package.module:function`` may be imported.
        order: of the data's classes among its outputs, where it has another one.
        who: what the user calls it, in messages.
        embeds: what is asked of it is its embedding, see `Task.headless`.
        tokens: of texts, where it reads these; own code is offered ``vocabulary`` (``vocab_size``),
            ``length`` (``max_length``) and ``pad`` (``pad_token_id``), too.
        head: of (width, classes): the classifier that its task wants in place of a Linear where it
            learns; None of a task that wants none.
        adapted: of a network: as the engine runs it for its task, see `Task.adapted`.
    """

    section: ModelSection
    classes: int
    channels: int
    size: int | tuple[int, int]
    source: Source | None = None
    allow_imports: bool = False
    order: tuple[int, ...] | None = None
    who: str = "network"
    head: Callable[[int, int], nn.Module | None] | None = None
    embeds: bool = False
    adapted: Callable[[nn.Module], nn.Module] = _as_it_is
    tokens: TokenFacts | None = None

    def make(self, seed: int) -> nn.Module:
        """A fresh network, initialised under this seed, with its weights if it has some.

        Raises:
            ModelError, WeightsError: with what was asked and what exists.
        """
        with seeded(seed, "network"):
            module = self._begun()
            dropped = self._dropped(module)
            self._read(module, dropped)
            if dropped is not None:
                module.set_submodule(dropped, nn.Identity())
            if self.centred:
                module = with_cosines(module, self._image(1), self._cosines, who=self.who)
        if self.embeds and not isinstance(self.section, TeacherSection):
            cut_head(module, self.section, who=self.who)
        if self.order is not None:
            self._put_in_order(module, self.order)
        if isinstance(module, torch.jit.ScriptModule) and isinstance(self.section, TeacherSection):
            module = Scripted(module)  # a student stays as it is: its weights are a product
        if self._may_return_several and not isinstance(module, torch.jit.ScriptModule):
            module.register_forward_hook(NamedOutputs(self.section.output, self._width))
        if self.dtype is not None:
            cast_to(module, self.dtype, who=self.who)
        cast_at_border(module)
        if self.rounds is None:
            return module
        rounding = quantised(module, self._image(1), keep=self.kept)
        check_ranges_follow(rounding, self.section.frozen, who=self.who)
        return rounding

    def weights_read(self, seed: int) -> LoadedWeights | None:
        """Which part of its file is read; None where it has none."""
        if self.section.file is None:
            return None
        with seeded(seed, "network"):
            module = self._begun()
        return self._read(module, self._dropped(module))

    @cached_property
    def origin(self) -> Origin | None:
        """What it starts from, where it learns on from weights of elsewhere."""
        if self.section.start is None:
            return None
        with seeded(0, "network"):
            module = self._begun()
        return origin_of(module, self.section, self._read(module), self.classes)

    def _read(self, module: nn.Module, dropped: str | None = None) -> LoadedWeights | None:
        def read() -> LoadedWeights | None:
            return read_file(
                module,
                self.section,
                dropped,
                any_head=self.embeds,
                allow_imports=self.allow_imports,
            )

        try:
            return read()
        except WeightsError as error:
            if dropped is not None or not isinstance(error.__cause__, WeightsMisfit):
                raise
            try:  # a file of a network that learnt under this task has the classifier of the task
                if not self.given or self._is_own or not self._put_head(module):
                    raise
                return read()
            except (ModelError, WeightsError):
                raise error from None

    def slowed(self, stage: Stage, name: str, module: nn.Module) -> Stage:
        """The stage in which what it started from learns at its share of the rate.

        Args:
            stage: in which it learns.
            name: of its role there.
            module: as it starts.
        """
        scale = self.section.lr_scale
        if scale == 1 or self.origin is None:
            return stage
        return stage.slowed(name, self.origin.came(module), scale)

    def learning(self, seed: int, *, who: str) -> str | None:
        """A line that says which part of it learns; None where all of it does."""
        may = self.section.frozen or self.source is not None or IMPORT in self.section.model
        return learning_told(self.make(seed), self.section.frozen, who=who) if may else None

    def out_of(self, teacher: nn.Module | None) -> "Network":
        """The student of this teacher: itself, unless it is made out of a teacher."""
        return self

    def check_smaller(self, *, trained: bool) -> None:
        """Make sure that a network that is made out of its teacher is smaller than that.

        Args:
            trained: whether it was made out of a teacher with its weights.
        """

    @property
    def rounds(self) -> str | None:
        """To what it rounds its weights and inputs, if it does."""
        return self.section.quantise if isinstance(self.section, StudentSection) else None

    @property
    def dtype(self) -> torch.dtype | None:
        """The precision that it is cast to; None: as it comes."""
        name = self.section.dtype if isinstance(self.section, TeacherSection) else None
        return None if name is None else DTYPES[name]

    def _put_in_order(self, module: nn.Module, order: Sequence[int]) -> None:
        noise = torch.randn(self._image(2).shape, generator=torch.Generator().manual_seed(0))
        path, output = self.section.head_path, self.section.output
        put_in_order(module, order, noise, role="teacher", head=path, output=output)

    @property
    def _width(self) -> int:
        """How many outputs it has in the end."""
        return self.classes if self.order is None else len(self.order)

    @property
    def _may_return_several(self) -> bool:
        """Whether its outputs have names of somebody else; a network of ours returns its logits."""
        return (
            self.section.output is not None or self.source is not None or ":" in self.section.model
        )

    @property
    def kept(self) -> tuple[str, ...]:
        """Paths of the layers that stay float where it rounds."""
        return self.section.keep if isinstance(self.section, StudentSection) else ()

    @property
    def given(self) -> bool:
        """Whether it comes trained: with a weights file, as a module, or pretrained by name."""
        if self.section.start is not None:
            return False
        if self.section.weights is not None:
            return self.section.comes_trained
        if isinstance(self.source, nn.Module):
            return True
        of_any = self.embeds or self.centred or self.section.head_path == NO_HEAD
        if of_any:  # whatever its classifier is for
            return self.source is None and self.section.model.endswith(f":{PRETRAINED}")
        return self.source is None and comes_trained(self.section.model, self.classes)

    def code(self, module: nn.Module) -> dict[str, str]:
        """What a fingerprint must know of it beside name and weights; empty for one of ours."""
        known = {} if self.rounds is None else {"quantise": self.rounds}
        if self.kept:
            known["keep"] = ", ".join(self.kept)
        if self.section.output is not None:
            known["output"] = f"output {self.section.output}"
        if self.section.arguments:
            known["arguments"] = str(sorted(in_order(self.section.arguments).items()))
        if self.section.frozen:
            known["named frozen"] = ", ".join(self.section.frozen)
        if self.section.lr_scale != 1:
            known["lr_scale"] = f"lr_scale {self.section.lr_scale:.17g}"
        if self.source is None and not self.section.model.startswith(IMPORT):
            return known
        return {"code": module_identity(module), **known}

    def identity(self, seed: int, module: nn.Module | None = None) -> dict[str, Any]:
        """What a fingerprint must know of it beside its name: its start and its code.

        Args:
            seed: of its start.
            module: made under this seed, where it is there already.
        """
        start = self.make(seed) if module is None else module
        known = {"start": weights_fingerprint(start, who=self.who), **self.code(start)}
        frozen = [name for name, value in start.named_parameters() if not value.requires_grad]
        held = held_in_eval(start)
        return {**known, **({"frozen": frozen, "in eval mode": held} if frozen or held else {})}

    def _begun(self) -> nn.Module:
        """A new network with the classifier of its task, where it is to learn one."""
        module = self._new()
        kept = not (self._is_own or self.centred or self.section.head_path == NO_HEAD)
        cosines = kept and any(isinstance(each, CosineHead) for each in module.modules())
        if not self.given or cosines:  # the scale of cosines is that of the task, given or not
            self._put_head(module)
        return module

    def _put_head(self, module: nn.Module) -> bool:
        """Put the classifier of the task in place, if it has one; whether it has."""
        if self.head is None or self.head(1, 1) is None:
            return False
        put_head(module, self.head, self.section, self.classes, who=self.who)
        return True

    @property
    def _is_own(self) -> bool:
        """Whether the user's code makes it, and not its name."""
        return self.source is not None or self.section.model.startswith(IMPORT)

    def _new(self) -> nn.Module:
        return self.adapted(self._made())

    def _made(self) -> nn.Module:
        if isinstance(self.source, nn.Module):
            return copied(self.source, who=self.who)
        if self.source is not None:
            return _made_by(self.source, self.section.model, self._offers)
        if self.section.model.startswith(IMPORT):
            own = imported(self.section.model, allow=self.allow_imports)
            return _made_by(own, self.section.model.removeprefix(IMPORT), self._offers)
        return build_model(
            built_name(self.section),
            classes=self.classes,
            channels=self.channels,
            size=self.size,
            arguments=self.section.arguments,
            tokens=self.tokens,
        )

    def _image(self, count: int) -> Tensor:
        """Black images of the form that it reads."""
        sides = (self.size, self.size) if isinstance(self.size, int) else self.size
        return torch.zeros(count, self.channels, *sides)

    @property
    def centred(self) -> bool:
        """Whether its classifier is to be the centres of the classes."""
        return isinstance(self.section, TeacherSection) and self.section.centres

    def _dropped(self, module: nn.Module) -> str | None:
        """Path of the classifier that it is to be without; None where it keeps what it has.

        What a module of the user's own returns is its embedding where the recipe says so; a network
        that is made by its name has a classifier, which is taken away.
        """
        none = self.section.head_path == NO_HEAD
        if not (none or self.centred) or (none and self._is_own):
            return None
        named = None if none else self.section.head_path
        problem = None if named is None else tap_problem(module, named, who=self.who)
        if problem is not None:
            raise ModelError(f"head_path: {problem}")
        path = named or find_head(module, who=self.who)
        return None if without_head(module, path) else path

    def _cosines(self, width: int) -> CosineHead:
        """The classifier of centres, of the scale of the task if that has one."""
        of_task = None if self.head is None else self.head(width, self.classes)
        return of_task if isinstance(of_task, CosineHead) else CosineHead(width, self.classes)

    @property
    def _offers(self) -> dict[str, Any]:
        """What a function that makes a network may ask for, by name."""
        return {
            **dict.fromkeys(("classes", "num_classes", "n_classes"), self.classes),
            **dict.fromkeys(("channels", "in_channels", "in_chans"), self.channels),
            "size": self.size,
            **_of_tokens(self.tokens),
        }


def in_order(value: Any) -> Any:
    """The same with the keys of all mappings in order, for a text that does not depend on it.

    >>> in_order({"b": 1, "a": [{"d": 2, "c": 3}]})
    {'a': [{'c': 3, 'd': 2}], 'b': 1}
    """
    if isinstance(value, Mapping):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(each) for each in value] if isinstance(value, list | tuple) else value


def _of_tokens(tokens: TokenFacts | None) -> dict[str, Any]:
    if tokens is None:
        return {}
    return {
        **dict.fromkeys(("vocabulary", "vocab_size"), tokens.vocabulary),
        **dict.fromkeys(("length", "max_length"), tokens.length),
        **dict.fromkeys(("pad", "pad_token_id"), tokens.pad),
    }


def check_ranges_follow(network: nn.Module, frozen: Sequence[str], *, who: str) -> None:
    """Make sure that the input grids of a rounding network can follow the batches of training.

    Raises:
        ModelError: a layer that rounds would stay in eval mode, where nothing follows.
    """
    parts = frozen_parts(network, frozen, who=who)
    for path in (*parts.modules, *held_in_eval(network)):
        part = network.get_submodule(path)
        if is_quantised(part):
            inside = ", ".join(name for name in (
                f"{path}.{name}".rstrip(".") for name in rounding_layers(part)))  # fmt: skip
            said = f"'{path}' is frozen in eval mode, and layers that round learn the range of "
            raise ModelError(f"{who}: {said}their inputs in training; keep: [{inside}]")


def _made_by(make: Callable[..., Any], name: str, offers: Mapping[str, Any]) -> nn.Module:
    if isinstance(make, nn.Module):  # callable, too
        return copied(make)
    if not callable(make):
        raise ModelError(
            f"'{name}' is a {type(make).__name__}, not a function or a torch.nn.Module"
        )
    module = call_own(make, name, offers)
    if not isinstance(module, nn.Module):
        what = "None" if module is None else f"a {type(module).__name__}"
        raise ModelError(
            f"'{name}' gave {what}, not a torch.nn.Module; does it return the network?"
        )
    return made_anew(unwrapped(module, who=name), name)


def make_network(
    section: ModelSection, data: JobData, source: Any = None, *, allow_imports: bool = False
) -> Network:
    """A network for the classes and images of the data."""
    who = role_of(section)
    if isinstance(source, nn.Module | torch.export.ExportedProgram):
        source = unwrapped(source, who=who)
    if data.tokens() is not None:
        return _of_sentences(section, data, source, who, allow_imports=allow_imports)
    wanted, shape = input_of(section), data.image_shape
    channels, height, width = shape if wanted is None else wanted.shape(shape)
    size = height if height == width else (height, width)
    names = getattr(section, "classes", None)
    if names is None:
        return Network(
            section,
            data.outputs,
            channels,
            size,
            source,
            allow_imports,
            who=who,
            head=data.task.head,
            embeds=data.task.headless,
            adapted=data.task.adapted,
        )
    order = tuple(class_order(names, data.splits.classes, role="teacher"))
    outputs = own_width(names)
    return Network(section, outputs, channels, size, source, allow_imports, order, who)


def _of_sentences(
    section: ModelSection, data: JobData, source: Any, who: str, *, allow_imports: bool
) -> Network:
    """A network that reads tokens: those of its own tokeniser, if it has one.

    Raises:
        RecipeError: what is asked of networks of images alone.
    """
    for key in ("input", "centres", "classes", "quantise"):
        if getattr(section, key, None):
            said = f"{key} is of networks that read images, and these rows are {data.noun}"
            raise RecipeError(who, [f"{said}; leave it out"])
    tokens = data.tokens(who)
    return Network(
        section,
        data.outputs,
        1,
        1 if tokens is None else tokens.length,
        source,
        allow_imports,
        who=who,
        head=data.task.head,
        embeds=data.task.headless,
        tokens=tokens,
    )
