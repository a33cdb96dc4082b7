"""README.md of a student's folder: a model card."""

from stillhouse.deploy.config import PROGRAM, SCRIPT, NetworkFacts, StudentConfig
from stillhouse.deploy.hub import processor_differs
from stillhouse.deploy.sentences import Sentences

HEADER = """---
library_name: {library}
pipeline_tag: {pipeline}
tags:
- knowledge-distillation
- {pipeline}
---
"""

PIPELINES = {
    "text_classification": "text-classification",
    "language_model": "text-generation",
    "classification": "image-classification",
    "verification": "image-feature-extraction",
}


def card(config: StudentConfig, *, metric: str, program: bool) -> str:
    """The text of the card: what it is, how good, how to use it, what to beware of.

    Args:
        config: of the folder.
        metric: the value on the test set as tables say it.
        program: whether the folder holds a program.
    """
    taken, network = config.input, config.network
    sentences = isinstance(taken, Sentences)
    library = "timm" if _is_of_timm(network) else "stillhouse"
    head = HEADER.format(library=library, pipeline=PIPELINES.get(config.task, "other"))
    size = f"{network.parameters:,} parameters"
    parts = [
        head,
        f"# {network.model}: {config.title}\n",
        f"A student of {size}, made by knowledge distillation (`{config.method}`) on "
        f"{config.trained_on}. These are the weights of {config.epoch}.\n",
        "## How good it is\n",
        f"{config.measure}: **{metric}** on the test set, which was read once.\n",
        *([f"Against the same network trained without a teacher: {config.verdict}\n"]
          if config.verdict else []),
        "## What it takes\n",
        _takes(config),
        "## How to use it\n",
    ]  # fmt: skip
    if program and taken.pixels:
        parts.append(
            f"With torch and Pillow alone:\n\n```sh\npython {SCRIPT} IMAGE...\n```\n\n"
            f"`{PROGRAM}` is a program of torch (`torch.export.load`), its preprocessing inside: "
            "pixels 0 to 255 in, "
            + ("logits" if config.output == "logits" else "embeddings of length 1")
            + " out, for batches of any size.\n"
        )
    elif program and sentences:
        parts.append(f"`{PROGRAM}` is a program of torch (`torch.export.load`).\n")
    elif program:
        parts.append(
            f"`{PROGRAM}` is a program of torch (`torch.export.load`) that takes what the "
            "transform of the training gives.\n"
        )
    parts.append(
        'With Stillhouse:\n\n```python\nimport stillhouse as sh\n\nstudent = sh.load("FOLDER")\n'
        f'student.predict(["{"some words" if sentences else "image.jpg"}"])\n```\n'
    )
    if library == "timm":
        parts.append(
            'With timm:\n\n```python\ntimm.create_model("local-dir:FOLDER", pretrained=True)\n```\n'
        )
    if isinstance(taken, Sentences):
        pass  # what others read of these is not known
    elif network.model.startswith("hf:") and network.by_name and taken.pixels:
        parts.append(
            "With transformers: `AutoModelForImageClassification.from_pretrained(FOLDER)` and "
            "`AutoImageProcessor.from_pretrained(FOLDER)`. They give the same logits for images of "
            f"the size above; beyond that, {'; '.join(processor_differs(taken))}.\n"
        )
    elif library != "timm":
        parts.append(
            "timm and transformers do not read this folder: the network is none of theirs, or was "
            "changed.\n"
        )
    parts += [
        "## What to beware of\n",
        "Numbers are of the test set of these data; on others it may be worse. "
        "The licences of the data and of the teacher bind what is made of them; this card does "
        "not know them.\n",
    ]
    return "\n".join(parts)


def _is_of_timm(network: NetworkFacts) -> bool:
    return network.model.startswith("timm:") and network.by_name and not network.shared


def _takes(config: StudentConfig) -> str:
    taken = config.input
    if isinstance(taken, Sentences):
        return (
            f"Texts, cut into tokens by `{taken.tokenizer}` ({taken.vocabulary:,} tokens), to rows "
            f"of {taken.length}. The program takes int64 [B, 2, {taken.length}]: tokens, and a "
            "mask that is 1 for a token and 0 for filling.\n"
        )
    kind = {1: "grey", 3: "RGB"}.get(taken.channels, f"{taken.channels}-channel")
    height, width = taken.size
    if not taken.pixels:
        return (
            f"Floats [B, {taken.channels}, {taken.height}, {taken.width}], prepared by the "
            "transform of the training, which is not part of this folder.\n"
        )
    said = f"{kind} images. They are scaled (bilinear, antialiased) to cover {taken.height} x "
    said += f"{taken.width} pixels, and the middle is cut out"
    if (taken.height, taken.width) != (height, width):
        said += f"; of that the network sees {height} x {width}"
    names = ", ".join(config.classes[:20]) + (", ..." if len(config.classes) > 20 else "")
    if config.output == "embedding":
        told = "It gives an embedding of length 1; images are compared by their cosine"
        if config.threshold is not None:
            told += f", and from {config.threshold:.4f} on two of them are said to be the same: "
            told += f"a threshold {config.at_threshold}"
        elif config.task == "verification":
            told += ". No threshold is part of it: no held-out people were there to choose it on"
        return f"{said}.\n\n{told}.\n"
    return f"{said}.\n\n{len(config.classes)} classes: {names}.\n"
