"""A student's folder as an object that answers for images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.pixels import is_image
from stillhouse.deploy.config import PROGRAM, WEIGHTS, StudentConfig
from stillhouse.deploy.detector import DetectorPredictor, is_detector_folder
from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.deploy.push import push_folder
from stillhouse.deploy.ready import Ready, embedder
from stillhouse.deploy.sentences import ReadySentences, Sentences
from stillhouse.engine.heads import find_head
from stillhouse.errors import DataError, ModelError, RunError
from stillhouse.faults import first_line
from stillhouse.models import build_model
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.given import set_eval
from stillhouse.records.tensors import load_state
from stillhouse.students import unshared, with_codebooks

STUDENT = "student"
BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """What the student says of one image, or of one text.

    Args:
        name: of the image: its path, or its number.
        label: the class of the largest logit; None of an embedding.
        probability: of that class, in 0..1.
        output: logits of all classes, or the embedding.
    """

    name: str
    label: str | None
    probability: float | None
    output: Tensor = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """What the student says of two images.

    Args:
        same: whether the cosine is at least the threshold.
        cosine: of the two embeddings.
        threshold: of the folder.
    """

    same: bool
    cosine: float
    threshold: float


class Predictor:
    """A student with its preprocessing and its classes.

    Args:
        folder: what `write_student` wrote, or a run that has one.
        allow_program: whether `model.pt2` may be loaded where the network cannot be built by its
            name. torch reads parts of such a file as pickles, which may run code: only for folders
            of people you trust.

    Raises:
        RunError: there is no student, or it is damaged.
        ModelError: it can be built neither by name nor, as far as allowed, by its program.
    """

    def __init__(self, folder: str | Path, *, allow_program: bool = False) -> None:
        self.folder = student_in(Path(folder))
        if is_detector_folder(self.folder):
            raise ModelError(
                f"{self.folder} holds a detector, which tells boxes and not one class of an image; "
                "stillhouse predict and evaluate take it, and stillhouse.load(FOLDER) in Python"
            )
        self.config = StudentConfig.read(self.folder)
        self.classes: tuple[str, ...] = self.config.classes
        self.preprocess: Preprocessing = self.config.input
        if isinstance(self.preprocess, Sentences):
            self.preprocess.opened(self.folder)
        self._program: nn.Module | None = None
        self._model: nn.Module | None = None
        if self.config.network.by_name:
            self._model = self._built()
            self.answers: nn.Module = self._behind(self._model)
        elif allow_program:
            self.answers = self._loaded()
        else:
            raise ModelError(
                f"{self.folder}: the network ({self.config.network.model}) cannot be built by its "
                f"name; its program, {PROGRAM}, can be loaded, and torch reads parts of such files "
                "as pickles, which may run code: allow it (allow_program=True, --allow-program) "
                "where you trust whoever made the folder"
            )

    @property
    def model(self) -> nn.Module:
        """The network itself, in eval mode: from normalised images to logits.

        Of one whose weights are shared it has the weights themselves, in plain layers.

        Raises:
            ModelError: it can only be run as a program.
        """
        if self._model is None:
            raise ModelError(
                f"{self.folder}: the student is a program, its layers cannot be had; rebuild it "
                f"with the code that made it and load {WEIGHTS}"
            )
        return self._model

    def outputs(self, pixels: Tensor) -> Tensor:
        """Logits, or embeddings of length 1.

        Shapes:
            pixels: uint8 or floats 0 to 255, [B, C, H, W], as `preprocess` says; [B, D].
        """
        with torch.inference_mode():
            answers: Tensor = self.answers(pixels)
        return answers

    def predict(self, images: Any, *, batch: int = BATCH) -> list[Prediction]:
        """What the student sees in images.

        Args:
            images: paths, images of Pillow, arrays or tensors; or one of them; of a student of
                texts these are texts.
            batch: how many are run at once.

        Raises:
            DataError: one of them cannot be read; with its name.
        """
        several = _listed(images)
        found: list[Prediction] = []
        for start in range(0, len(several), batch):
            part = several[start : start + batch]
            names = [_name(image, start + at) for at, image in enumerate(part)]
            pixels = [
                self.preprocess.of(image, name) for image, name in zip(part, names, strict=True)
            ]
            found += self.told(names, self.outputs(torch.stack(pixels)))
        return found

    def same(self, first: Any, second: Any) -> "Comparison":
        """Whether two images show the same, by the cosine of their embeddings.

        Raises:
            DataError: one of them cannot be read, or the student has no threshold.
        """
        one, two = self.predict([first, second])
        return self.compared(one.output, two.output)

    def compared(self, first: Tensor, second: Tensor) -> "Comparison":
        """Two embeddings [D] at the threshold of the folder.

        Raises:
            DataError: there is none.
        """
        if self.config.threshold is None:
            kind = f"task {self.config.task}, output {self.config.output}"
            raise DataError(f"{self.folder}: the student has no threshold ({kind})")
        cosine = float(first @ second)
        return Comparison(cosine >= self.config.threshold, cosine, self.config.threshold)

    def told(self, names: Sequence[str], outputs: Tensor) -> Iterator[Prediction]:
        """Outputs as predictions.

        Raises:
            RunError: there are more or fewer logits than classes.
        """
        if self.config.output == "embedding":
            for name, row in zip(names, outputs, strict=True):
                yield Prediction(name, None, None, row)
            return
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes):
            raise RunError(
                f"{self.folder}: each input gives {list(outputs.shape[1:])} values, "
                f"and there are {len(self.classes)} classes; `outputs` gives the values"
            )
        probability, place = outputs.softmax(1).max(1)
        rows = zip(names, outputs, place.tolist(), probability.tolist(), strict=True)
        for name, row, at, share in rows:
            yield Prediction(name, self.classes[at], float(share), row)

    def push_to_hub(self, repo_id: str, *, private: bool = False, update: bool = False) -> str:
        """Upload the folder to the Hugging Face hub; gives where it is.

        Args:
            repo_id: NAME/REPOSITORY.
            private: whether a new repository is for its owner alone.
            update: whether the repository may be there already.

        Raises:
            MissingExtra, RunError, SystemFault: see `stillhouse.deploy.push.push_folder`.
        """
        return push_folder(self.folder, repo_id, private=private, update=update)[0]

    def __repr__(self) -> str:
        network = self.config.network
        return (
            f"Predictor({network.model}, {network.parameters:,} parameters, "
            f"{len(self.classes)} classes)"
        )

    def _behind(self, model: nn.Module) -> nn.Module:
        if isinstance(self.preprocess, Sentences):
            return ReadySentences(model, causal=self.preprocess.causal).eval()
        embeds = self.config.output == "embedding"
        network = embedder(model) if embeds else model
        return Ready(network, self.preprocess.inside, unit=embeds).eval()

    def _built(self) -> nn.Module:
        asked = self.config.network
        name = asked.model.removesuffix(":pretrained")
        if name.startswith("hf:") and isinstance(self.preprocess, Preprocessing):
            # Its config is in the folder; where it came from may be gone.
            name = f"hf:{self.folder}"
        module = build_model(
            name,
            classes=asked.classes,
            channels=asked.channels,
            size=asked.size,
            arguments=asked.arguments,
            tokens=self.preprocess.facts if isinstance(self.preprocess, Sentences) else None,
        )
        if asked.headless:
            module = embedder(module)
        elif asked.head_scale is not None:
            _with_cosine_head(module, asked.classes, asked.head_scale)
        state = load_state(self.folder / WEIGHTS)
        try:
            module = with_codebooks(module, state) if asked.shared else module
            module.load_state_dict(state)
        except (RuntimeError, ModelError) as error:
            raise ModelError(
                f"{self.folder / WEIGHTS} does not fit {asked.model} as this version builds it: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from error
        module = unshared(module) if asked.shared else module
        set_eval(module)
        return module

    def _loaded(self) -> nn.Module:
        path = self.folder / PROGRAM
        if not path.is_file():
            raise RunError(f"{self.folder} has no {PROGRAM}: torch could not trace the student")
        try:
            program = torch.export.load(path)
        except Exception as error:  # of many kinds: the archive, its schema, its operators
            raise RunError(f"{path} is no program of torch: {first_line(error)}") from error
        return program.module()


def _with_cosine_head(module: nn.Module, classes: int, scale: float) -> None:
    path = find_head(module, who=STUDENT)
    old = module.get_submodule(path)
    if isinstance(old, CosineHead):
        return
    if not isinstance(old, nn.Linear):
        raise ModelError(f"the head of the student is a {type(old).__name__}, not a Linear")
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, CosineHead(old.in_features, classes, scale=scale))


def load(folder: str | Path, *, allow_program: bool = False) -> "Predictor | DetectorPredictor":
    """The student of a run, or of a folder that was made of one, ready to answer for images.

    Args:
        folder: the directory of a run, or a student's folder.
        allow_program: see `Predictor`.

    Raises:
        RunError, ModelError: see `Predictor`.
    """
    found = student_in(Path(folder))
    if is_detector_folder(found):
        return DetectorPredictor(found)
    return Predictor(folder, allow_program=allow_program)


def student_in(folder: Path) -> Path:
    """The folder of the student of a run, or the folder itself."""
    inner = folder / STUDENT
    return inner if inner.is_dir() and not (folder / "config.json").exists() else folder


def _listed(images: Any) -> list[Any]:
    if isinstance(images, str | Path) or is_image(images):
        return [images]
    if not isinstance(images, Iterable):
        raise DataError(f"images are {images!r}; give paths, images, arrays, or a list of them")
    return list(images)


def _name(image: Any, at: int) -> str:
    return str(image) if isinstance(image, str | Path) else f"image {at}"
