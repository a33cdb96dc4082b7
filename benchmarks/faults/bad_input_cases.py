"""Bad inputs, by kind: what `bad_inputs.py` gives to the command.

A case is a recipe that is changed in one place, a whole text in the place of a recipe, or a command
line. Names in capitals (such as FOLDER) are files and directories that the attack makes first.
"""

import itertools
import json
from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any, NamedTuple

NAN, INF = float("nan"), float("inf")
DEEP = 3000


class Case(NamedTuple):
    """One bad input.

    Args:
        kind: of mistake, for the counts.
        name: what it is.
        command: the arguments; RECIPE is the file with the text.
        text: of that file; None where the command needs none.
    """

    kind: str
    name: str
    command: tuple[str, ...]
    text: str | bytes | None = None


BASE: dict[str, Any] = {
    "data": {"source": "digits", "limit": 100, "views": 1},
    "teacher": "convnet-8-8",
    "student": "convnet-4-8",
    "method": "kd",
    "epochs": 2,
    "seeds": 1,
    "batch": 32,
    "device": "cpu",
    "precision": "fp32",
}
GIVEN = {"model": "convnet-8-8", "weights": "TEACHER"}

CHANGES: dict[str, list[dict[str, Any]]] = {
    "budget": [
        *({"epochs": v} for v in (0, -1, 1.5, NAN, INF, 1e308, "x", [], None, True, 10**30)),
        *({"batch": v} for v in (0, -64, 2.5, NAN, "many", [8], None, False, 10**12, 1000)),
        *({"seeds": v} for v in (0, -1, 1.5, NAN, "x", [], [1, 1], [-1], [2**40], None, True,
                                 10**9, [0.5], [None], {"a": 1}, [[1]])),
        *({"accumulate": v} for v in (0, -1, NAN, "2x", 10**6, 10**12, None, 1.5)),
        *({"clip": v} for v in (0, -1, NAN, INF, "x", [1.0], 1e308, True)),
        *({"checkpoint_seconds": v} for v in (-1, NAN, INF, "x", None, [1])),
    ],
    "words": [
        *({"precision": v} for v in ("fp8", 16, None, ["fp32"], True)),
        *({"device": v} for v in ("gpu", 3, None, ["cpu"], "cuda:99", "cpu:x", "", "meta")),
        *({"compile": v} for v in ("yes please", 2, None, [])),
        *({"task": v} for v in ("segmentationx", 3, None, [], "python:os:getcwd", "python:x")),
        *({"control": v} for v in ("maybe", 3, None, [])),
        *({"cache": v} for v in ("sometimes", 3, [], {"use": "auto", "top": 5}, {"top": 0},
                                 {"dtype": "int4"}, {"dtype": {"logits": "f"}}, {"top": NAN},
                                 {"dtype": {"nosuch": "float16"}}, {"directory": 3})),
        *({"balance": v} for v in ("loss", 3, {"share": 0}, {"share": NAN}, {"batches": 0}, [])),
        {"epoch": 3}, {"": 3}, {"data.limit": 3}, {"Method": "kd"},
    ],
    "data": [
        *({"data": v} for v in ("digit", "", 3, None, [], {}, {"limit": 3}, "FOLDER", "TEXT",
                                "nowhere/x.npz", "hf:no such name", "NPZ_OF_WORDS", "TEACHER",
                                "EMPTY", "/dev/null")),
        *({"data": {"source": "digits", "limit": 100, **v}} for v in (
            {"limit": 0}, {"limit": -5}, {"limit": NAN}, {"limit": "all"}, {"limit": 1},
            {"validation": -0.1}, {"validation": 1.0}, {"validation": NAN}, {"validation": "x"},
            {"validation": 10**9}, {"validation": None}, {"validation": [0.1]},
            {"test": 0}, {"test": 1.5}, {"test": -1}, {"test": INF}, {"test": 10**9},
            {"views": 0}, {"views": -1}, {"views": "some"}, {"views": 1.5}, {"views": NAN},
            {"augment": "crup"}, {"augment": ["flip", "flop"]}, {"augment": 3},
            {"augment": {"crop": -1}}, {"augment": {"crop": 1e9}}, {"augment": {"flip": 2}},
            {"augment": {"scale": 0.5}}, {"augment": {"fade": 0}}, {"augment": {"rotate": NAN}},
            {"augment": {"blur": INF}}, {"augment": {"cutout": "x"}}, {"augment": {"shift": -1}},
            {"size": 0}, {"size": -8}, {"size": 10**6}, {"size": NAN}, {"size": "big"},
            {"workers": -1}, {"workers": 10**4}, {"workers": 1.5}, {"workers": "few"},
            {"split_seed": -1}, {"split_seed": 2**40}, {"view_seed": NAN}, {"view_seed": "x"},
            {"image": -1}, {"label": []}, {"vew": 1}, {"limit": [100]},
        )),
    ],
    "networks": [
        *({"student": v} for v in ("resnet21x", "", 3, None, [], {}, {"model": None},
                                   "convnet", "convnet-0-8", "convnet--4", "resnet-20",
                                   "python:os:getcwd", "timm:nosuch", "convnet-99999999-8",
                                   "resnet2000000", "wrn_16_0", "TEXT", {"models": "x"})),
        *({"student": {"model": "convnet-4-8", **v}} for v in (
            {"head": "mine"}, {"head": 3}, {"quantise": "int4"}, {"keep": ["x"]},
            {"quantise": "int8", "keep": ["nosuch"]}, {"weights": "nowhere"}, {"weights": "TEXT"},
            {"weights": "FOLDER"}, {"weights": 3}, {"weights_key": "a"}, {"head_path": "nosuch"},
            {"head_path": 3}, {"output": -1}, {"arguments": 3},
            {"arguments": {"x": 1}}, {"input": {"size": 0}}, {"input": {"channels": 2}},
            {"input": {"mean": [0.5]}}, {"input": {"mean": [NAN], "std": [1]}},
            {"input": {"mean": [0.5], "std": [0]}}, {"input": {"order": "grb"}},
            {"input": {"mean": [0.5, 0.5], "std": [1]}}, {"input": {"size": 10**7}},
            {"input": {"mean": [0, 0, 0], "std": [1, 1, 1], "channels": 1}},
            {"frozen": ["nosuch"]}, {"weights": "OTHER"}, {"weights": ""}, {"width": 3},
        )),
        *({"teacher": v} for v in ("resnet21x", 3, [], {}, {"model": "ensemble"}, ["nosuch"],
                                   None, "ensemble", True)),
        *({"teacher": {"model": "convnet-8-8", **v}} for v in (
            {"epochs": 0}, {"epochs": NAN}, {"epochs": "x"}, {"seed": -1}, {"seed": "teacher"},
            {"seed": 2**40}, {"seed": 1.5}, {"until": 3}, {"until": {"epoch": 0}},
            {"until": {"epoch": 9}}, {"until": {"accuracy": 15}}, {"until": {"accuracy": NAN}},
            {"until": {"f1": 0.5}}, {"until": {}}, {"until": {"epoch": 1, "accuracy": 0.5}},
            {"head": "nosuch"}, {"head": 3}, {"method": "kd"}, {"teacher": "resnet8"},
            {"method": "dml"}, {"weights": "TEXT"}, {"weights": "nowhere"}, {"weights": "FOLDER"},
            {"weights": "TEACHER", "epochs": 3}, {"weights": "OTHER"}, {"weights_head": "old"},
            {"classes": ["a"]}, {"classes": 3}, {"members": ["resnet8"]}, {"dtype": "int3"},
        )),
        *({"teacher": {**GIVEN, **v}} for v in (
            {"classes": ["a"] * 10}, {"classes": {"x": 1}}, {"classes": []}, {"output": 3},
            {"weights_key": "nosuch"}, {"weights_prefix": "nosuch"}, {"head_path": "nosuch"},
            {"input": {"size": -1}}, {"output": "nosuch"}, {"seed": 3, "until": {"epoch": 1}},
        )),
        *({"peers": v} for v in (3, 0, -1, "x", [], None, NAN, [{"model": 3}], ["nosuch"])
          if v is not None),
        *({"peers": v, "method": "dml"} for v in (0, -1, "x", [], NAN, ["nosuch"], 10**6, 1.5)),
    ],
    "derive": [
        {"student": {"derive": derive, **v}}
        for derive, several in {
            "low_rank": ({}, {"ratio": 0}, {"ratio": 1}, {"ratio": NAN}, {"ratio": "half"},
                         {"rank": 0}, {"rank": 2.5}, {"energy": 0}, {"energy": 2},
                         {"rank": 4, "ratio": 0.5}, {"ratio": 0.5, "scheme": "row"},
                         {"ratio": 0.5, "start": "here"}, {"ratio": 0.5, "keep": ["nosuch"]},
                         {"ratio": 0.5, "keep": 3}, {"rank": 10**9}, {"ratio": 1e-9},
                         {"ratio": 0.5, "model": "resnet8"}),
            "prune": ({}, {"ratio": -1}, {"ratio": [0.5]}, {"ratio": INF}),
            "thinner": ({}, {"ratio": 0}, {"ratio": 1e-9}, {"start": "teacher", "ratio": 0.5}),
            "depthwise": ({"ratio": 0.5}, {"keep": ["nosuch"]}),
            "quantum": ({},), "": ({},), 3: ({},),
        }.items() for v in several
    ],
    "method": [
        *({"method": v} for v in ("kdd", 3, None, [], {}, {"temperature": 2}, "KD ", "python:x:y",
                                  "python:os:getcwd", ["kd"], {"name": 3}, {"name": None}, True)),
        *({"method": {"name": "kd", **v}} for v in (
            {"temperature": 0}, {"temperature": -4}, {"temperature": NAN}, {"temperature": INF},
            {"temperature": 1e308}, {"temperature": "hot"}, {"temperature": [4]},
            {"temperature": None}, {"temperature": True}, {"weight": -1}, {"weight": NAN},
            {"weight": "x"}, {"label_weight": INF}, {"temprature": 2}, {"weight": {"name": "ramp"}},
            {"weight": 0, "label_weight": 0},
        )),
        *({"method": v} for v in (
            {"name": "fitnet", "pairs": 3}, {"name": "fitnet", "pairs": "all"},
            {"name": "fitnet", "pairs": [["nosuch", "nosuch"]]}, {"name": "at", "pairs": []},
            {"name": "at", "pairs": [["a"]]}, {"name": "crd", "negatives": 0},
            {"name": "crd", "negatives": NAN}, {"name": "crd", "width": 10**9},
            {"name": "crd", "negatives": 10**9}, {"name": "dkd", "alpha": -1},
            {"name": "label_smoothing", "alpha": 2}, {"name": "label_smoothing", "alpha": 0.1},
            {"name": "ema_kd", "decay": 1.0}, {"name": "rkd", "distance": NAN},
            {"name": "snapshot_kd", "cycles": 0}, {"name": "snapshot_kd", "cycles": 10**6},
            {"name": "projector_logsum", "alpha": "x"}, {"name": "one", "branches": 0},
            {"name": "th_kd", "alpha": 5}, {"name": "embedding_kd", "weight": -1},
            {"name": "multi_teacher_kd", "weights": [1]}, {"name": "dml"}, {"name": "kdcl"},
            {"name": "cs_kd", "weight": NAN}, {"name": "byot", "temperature": 0},
        )),
    ],
    "optimizer": [
        *({"optimizer": v} for v in ("sdg", 3, None, [], {}, "lbfgs", "sparseadam", "LBFGS",
                                     "Optimizer", "muon", {"lr": 0.1}, {"name": 3}, True)),
        *({"optimizer": {"name": "sgd", **v}} for v in (
            {"lr": 0}, {"lr": -0.1}, {"lr": NAN}, {"lr": INF}, {"lr": "fast"}, {"lr": [0.1]},
            {"lr": None}, {"lr": True}, {"lr": 1e308}, {"momentum": 1.5}, {"momentum": -0.1},
            {"weight_decay": -1}, {"weight_decay": NAN}, {"dampening": 2},
            {"nesterov": True, "momentum": 0}, {"nesterov": 3}, {"no_decay": "norms"},
            {"no_decay": ["weights"]}, {"no_decay": [3]}, {"betas": [0.9, 0.99]}, {"Lr": 0.1},
        )),
        *({"optimizer": v} for v in (
            {"name": "adamw", "betas": [0.9]}, {"name": "adamw", "betas": [0.9, 1.0]},
            {"name": "adamw", "betas": 0.9}, {"name": "adamw", "eps": 0},
            {"name": "adamw", "eps": -1e-8}, {"name": "adam", "amsgrad": "x"},
            {"name": "rprop", "etas": [1.2, 0.5]}, {"name": "rprop", "step_sizes": [50, 1]},
            {"name": "adafactor", "beta2_decay": 1}, {"name": "adadelta", "rho": 1.5},
            {"name": "asgd", "lambd": -1}, {"name": "rmsprop", "alpha": NAN},
            {"name": "nadam", "momentum_decay": -1}, {"name": "adagrad", "lr_decay": -1},
            {"name": "adam", "foreach": True}, {"name": "adam", "params": [1]},
        )),
    ],
    "schedule": [
        *({"schedule": v} for v in ("cosin", 3, None, [], {}, "multi_step", "step", {"warmup": 1},
                                    "LinearLR", {"name": 3})),
        *({"schedule": v} for v in (
            {"name": "cosine", "warmup": 2}, {"name": "cosine", "warmup": -1},
            {"name": "cosine", "warmup": NAN}, {"name": "cosine", "warmup": 1e9},
            {"name": "cosine", "end": 2}, {"name": "cosine", "end": -0.1},
            {"name": "one_cycle", "rise": 1.5}, {"name": "one_cycle", "rise": 0},
            {"name": "one_cycle", "rise": 1e-9}, {"name": "one_cycle", "rise": NAN},
            {"name": "multi_step", "milestones": [5]}, {"name": "multi_step", "milestones": []},
            {"name": "multi_step", "milestones": [-1]}, {"name": "multi_step", "milestones": 1},
            {"name": "multi_step", "milestones": ["x"]},
            {"name": "multi_step", "milestones": [1], "gamma": -0.1},
            {"name": "multi_step", "milestones": [1], "gamma": 0},
            {"name": "multi_step", "milestones": [1], "gamma": 2},
            {"name": "step", "every": 0}, {"name": "step", "every": NAN},
            {"name": "step", "every": 1, "gamma": INF}, {"name": "step", "every": 3},
            {"name": "constant", "warmup": "x"}, {"name": "constant", "rise": 0.1},
            {"name": "constant", "warmup": [1]}, {"name": "cosine_restarts", "cycles": 2},
        )),
    ],
    "transfer": [
        *({"teacher": GIVEN, "transfer": v} for v in (3, "zero_shot", [], {}, {"count": 0},
                                                     {"count": -1}, {"count": NAN},
                                                     {"count": 10**12}, {"count": "x"},
                                                     {"count": 1.5}, {"count": None})),
        *({"teacher": GIVEN, "transfer": {"count": 20, **v}} for v in (
            {"method": "one_shot"}, {"method": 3}, {"method": {"steps": 3}}, {"seed": -1},
            {"seed": "teacher"}, {"images_per_epoch": 10}, {"images_per_epoch": 0},
            {"augment": "crup"}, {"method": {"name": "zero_shot", "steps": 0}},
            {"method": {"name": "zero_shot", "steps": NAN}},
            {"method": {"name": "zero_shot", "temperature": 0}},
            {"method": {"name": "zero_shot", "beta": []}},
            {"method": {"name": "zero_shot", "beta": [-1]}},
            {"method": {"name": "zero_shot", "lr": INF}},
            {"method": {"name": "deep_inversion", "tv": -1}},
            {"method": {"name": "deep_inversion", "batch": 0}}, {"method": "adi"},
            {"method": {"name": "adi", "weights": "nowhere"}},
            {"method": {"name": "dafl", "steps": -1}}, {"method": {"name": "dafl", "noise": 0}},
            {"method": {"name": "fast_dfkd", "nosuch": 1}},
            {"method": {"name": "noise_gaussian", "x": 1}}, {"method": {"name": "unrelated"}},
            {"method": {"name": "unrelated", "source": "nowhere"}},
            {"method": {"name": "unrelated", "source": "digits"}},
            {"method": "real", "count": 10**6},
        )),
        {"teacher": None, "method": "plain", "transfer": {"count": 20}},
    ],
    "study": [
        *({"arms": v} for v in (3, [], {}, {"a": 3}, {"a": {"method": "kdd"}}, {"a": {"x": 1}},
                                {"a": {"epochs": 0}}, {"a": {}, "b": {}}, {"a": ["kd"]}, "all")),
        *({"methods": v} for v in ([], "kd", 3, [3], ["kdd"], ["kd", "kd"], ["plain"], [[]],
                                   [{"name": "kd", "temperature": NAN}], {"kd": 1})),
        *({"sweep": v} for v in (3, [], {}, {"epochs": []}, {"epochs": [0, 1]}, {"epoch": [1, 2]},
                                 {"method.temperature": [1, NAN]}, {"epochs": [1, 1]},
                                 {"seeds": [1, 10**9]}, {"optimizer.lr": ["a", 0.1]}, ["epochs"],
                                 {"epochs.x": [1]}, {"schedule.warmup": [0, 99]})),
        *({"methods": ["kd", "dkd"], **v} for v in (
            {"against": "kdd"}, {"against": 3}, {"against": ["kd", "x"]}, {"axis": "nosuch"},
            {"axis": 3}, {"axis": []}, {"axis": "method"}, {"against": {"kd": 1}},
            {"title": ["a"], "axis": "epoch"}, {"axis": NAN})),
    ],
}  # fmt: skip

ALIASES = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in itertools.pairwise(ascii_lowercase[:10])
)
"""Nine to the power of nine words."""

TEXTS: dict[str, str | bytes] = {
    "empty": "", "a word": "digits", "a list": "- a\n- b", "a number": "3", "nothing": "null",
    "open bracket": "a: [", "a tab": "a:\n\tb: 1", "a key twice": "data: a\ndata: b",
    "code": "x: !!python/object/apply:os.getcwd []", "a tag": "x: !y 3", "deep": "[" * DEEP,
    "deep mapping": "{a: " * DEEP, "deep and closed": "a: " + "[" * DEEP + "]" * DEEP,
    "aliases": ALIASES,
    "holds itself": "a: &a [*a]", "two documents": "data: a\n---\ndata: b",
    "no UTF-8": b"data: \xff",
    "binary": bytes(range(256)), "zeros": bytes(4096),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(99),
    "JSON of another tool": '{"nbformat": 4, "cells": []}', "Python": "import os\nprint(1)\n",
    "too large": "#" * (2 << 20), "a long number": "epochs: " + "9" * 5000,
    "a key that is a list": "[a]: 3", "a date": "data: digits\nepochs: 2026-01-01\nstudent: a",
    "a colon without space": "data:digits", "unknown alias": "a: *b", "control": "a: \x07",
    "UTF-16": "data: digits".encode("utf-16"),
    "sexagesimal": "data: digits\nstudent: a\nepochs: 1:30",
}  # fmt: skip

TINY = ("--data", "digits", "--teacher", "convnet-8-8", "--student", "convnet-4-8", "-o", "OUT")
SYNTHESIZE = ("TEACHER", "--model", "convnet-8-8", "--shape", "1,8,8", "-o", "OUT", "--count", "9")
BAD_NUMBERS = ("nan", "inf", "-1", "0", "x", "", "1e308", "1.5", "99999999999999999999")
BAD_SHAPES = ("", "8", "8,8", "1,8,8,8", "1,x,8", "0,8,8", "-1,8,8", "1,8,nan", "1,8,1.5",
              "1,99999999,99999999")  # fmt: skip

COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "distill": [
        *(("distill", *TINY, option, value) for option in ("--epochs", "--seeds", "--batch",
          "--limit") for value in BAD_NUMBERS),
        ("distill",), ("distill", "--data", "digits"), ("distill", *TINY, "--nosuch", "3"),
        ("distill", *TINY, "extra"), ("distill", *TINY, "--epochs"),
        ("distill", *TINY, "--set", "epochs"), ("distill", *TINY, "--set", "=3"),
        ("distill", *TINY, "--set", "seeds.x=3"), ("distill", *TINY, "--set", "a=[", ),
        ("distill", *TINY, "--set", "optimizer.weight_decay=-1"),
        ("distill", *TINY, "--set", "schedule={name: one_cycle, rise: 1.5}"),
        ("distill", *TINY, "--set", "seeds=1000000000"), ("distill", *TINY, "--set", "lr=0.1"),
        ("distill", *TINY, "--set", "a=1\nb: 2"), ("distill", *TINY, "--set", "..=1"),
        ("distill", *TINY, "--set", "peers.0.model=x"), ("distill", *TINY, "--method", ""),
        ("distill", *TINY, "--teacher-weights", "TEXT"), ("distill", *TINY, "--shared", "TEXT"),
        ("distill", *TINY[:-2], "-o", "TEXT"), ("distill", *TINY[:-2], "-o", "FOLDER"),
        ("distill", *TINY[:-2], "-o", "TEXT/inside"), ("distill", *TINY[:-2], "-o", "x" * 400),
        ("distill", *TINY[:2], *TINY[4:], "--teacher-weights", "TEACHER"),
    ],
    "compare": [
        *(("compare", "kd", *TINY, option, value) for option in ("--epochs", "--seeds")
          for value in ("nan", "-1", "0", "x", "99999999999999999999")),
        ("compare", *TINY), ("compare", "kdd", *TINY), ("compare", "kd", "kd", *TINY),
        ("compare", "plain", *TINY), ("compare", "kd", "-o", "OUT"),
        ("compare", "kd", "--recipe", "nowhere.yaml", "-o", "OUT"),
        ("compare", "kd", "--recipe", "TEXT", "-o", "OUT"), ("compare", "all", "kd", *TINY),
        ("compare", "kd", "--recipe", "STUDY", "-o", "OUT"), ("compare", "", *TINY),
        ("compare", "kd", *TINY, "--set", "data.test=0"),
        ("compare", "all", *TINY, "--set", "epochs=0"),
        ("compare", "all", *TINY, "--set", "optimizer.lr=nan"),
    ],
    "search": [
        *(("search", "GOOD", "-o", "OUT", option, value) for option in ("--trials", "--parameters",
          "--latency-ms", "--epochs") for value in BAD_NUMBERS
          if (option, value) not in (("--latency-ms", "1.5"),)),
        ("search", "nowhere.yaml"), ("search", "STUDY"), ("search", "TEXT"), ("search",),
        ("search", "GOOD", "--set", "student.keep=[a]"), ("search", "GOOD", "--set", "epochs=0"),
        ("search", "GOOD", "--set", "data.validation=0", "-o", "OUT"),
        ("search", "GOOD", "-o", "TEXT"), ("search", "GOOD", "-o", "FOLDER"),
        ("search", "FOLDER"), ("search", "GOOD", "--set", "student={derive: prune, ratio: 0.5}"),
    ],
    "synthesize": [
        *(("synthesize", *SYNTHESIZE, option, value) for option in ("--count", "--classes",
          "--seed") for value in BAD_NUMBERS if (option, value) != ("--seed", "0")),
        *(("synthesize", *SYNTHESIZE, "--shape", value) for value in BAD_SHAPES),
        ("synthesize",), ("synthesize", "TEXT", *SYNTHESIZE[1:]),
        ("synthesize", "nowhere", *SYNTHESIZE[1:]), ("synthesize", "FOLDER", *SYNTHESIZE[1:]),
        ("synthesize", "OTHER", *SYNTHESIZE[1:]),
        ("synthesize", *SYNTHESIZE, "--model", "resnet21x"),
        ("synthesize", *SYNTHESIZE, "--method", "one_shot"),
        ("synthesize", *SYNTHESIZE, "--set", "steps=0"),
        ("synthesize", *SYNTHESIZE, "--set", "stepps=3"), ("synthesize", *SYNTHESIZE, "--set", "x"),
        ("synthesize", *SYNTHESIZE, "--set", "lr=nan"),
        ("synthesize", *SYNTHESIZE, "--set", "temperature=-1"),
        ("synthesize", *SYNTHESIZE, "--set", "steps=[1]"),
        ("synthesize", *SYNTHESIZE, "--set", "steps=fast"),
        ("synthesize", *SYNTHESIZE, "--device", "gpu"), ("synthesize", *SYNTHESIZE, "--data", "no"),
        ("synthesize", *SYNTHESIZE, "--weights-key", "nosuch"), ("synthesize", *SYNTHESIZE[:-2]),
        ("synthesize", *SYNTHESIZE[:5], "-o", "TEXT", "--count", "9"),
        ("synthesize", *SYNTHESIZE[:5], "-o", "FOLDER", "--count", "9"),
    ],
    "derive command": [
        *(("derive", "convnet-8-8", "--by", "low_rank", option, value) for option in ("--ratio",
          "--energy", "--rank") for value in BAD_NUMBERS),
        *(("derive", "convnet-8-8", "--by", "prune", "--ratio", "0.5", option, value)
          for option in ("--classes", "--seed") for value in BAD_NUMBERS
          if (option, value) != ("--seed", "0")),
        *(("derive", "convnet-8-8", "--by", "depthwise", "--image", value) for value in BAD_SHAPES),
        ("derive",), ("derive", "convnet-8-8"), ("derive", "convnet-8-8", "--by", "magic"),
        ("derive", "resnet21x", "--by", "depthwise"), ("derive", "convnet-8-8", "--by", "low_rank"),
        ("derive", "convnet-8-8", "--by", "depthwise", "--weights", "TEXT"),
        ("derive", "convnet-8-8", "--by", "depthwise", "--weights", "nowhere"),
        ("derive", "convnet-8-8", "--by", "depthwise", "-o", "TEXT"),
        ("derive", "convnet-8-8", "--by", "depthwise", "--start", "here"),
        ("derive", "convnet-8-8", "--by", "depthwise", "--keep", "nosuch"),
        ("derive", "convnet-8-8", "--by", "depthwise", "--weights-key", "a"),
        ("derive", "", "--by", "depthwise"),
    ],
    "taps": [
        *(("taps", "convnet-8-8", "--image", value) for value in BAD_SHAPES),
        *(("taps", "convnet-8-8", "--classes", value) for value in BAD_NUMBERS),
        ("taps",), ("taps", "resnet21x"), ("taps", "convnet-8-8", "--weights", "TEXT"),
        ("taps", "convnet-8-8", "--weights", "nowhere"), ("taps", ""), ("taps", "python:os:getcwd"),
        ("taps", "convnet-8-8", "--teacher", "resnet21x", "--image", "1,8,8"),
        ("taps", "convnet-8-8", "--teacher", "convnet-4-4", "--image", "1,8,8", "--data", "no"),
        ("taps", "convnet-8-8", "--teacher", "convnet-4-4", "--image", "3,8,8", "--data", "digits"),
        ("taps", "convnet-8-8", "--teacher-weights", "nowhere", "--image", "1,8,8"),
        ("taps", "convnet-8-8", "--data", "nowhere", "--image", "1,8,8"),
    ],
    "reading": [
        *((name, where) for name in ("report", "resume", "show") for where in ("nowhere", "FOLDER",
          "EMPTY", "TEXT", "TEACHER", "/dev/null", "", "x" * 400)),
        ("report",), ("resume",), ("show",), ("ls", "modles"), ("ls", "models", "more"),
        ("show", "FOLDER", "--set", "a=1"), ("show", "GOOD", "--set", "epochs=0"),
        ("show", "GOOD", "--set", "nosuch=1"), ("check", "nowhere.yaml"), ("check", "FOLDER"),
        ("check",), ("check", "GOOD", "-o", "TEXT"), ("check", "GOOD", "--shared", "TEXT"),
        ("run", "FOLDER"), ("run", "TEACHER"), ("run", "GOOD", "-o", "TEXT"), ("run", "GOOD", "-x"),
        ("run", "GOOD", "GOOD"), ("run", ""), ("nosuch",), ("--nosuch",), ("run", "/dev/null"),
    ],
}  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    for kind, changes in CHANGES.items():
        for change in changes:
            text = json.dumps({**BASE, **change}).replace("NaN", ".nan").replace("Infinity", ".inf")
            yield Case(kind, written(change), ("run", "RECIPE", "-o", "OUT", "-q"), text)
    for name, content in TEXTS.items():
        for command in ("run", "check", "show"):
            yield Case("text", f"{command}: {name}", (command, "RECIPE"), content)
    for kind, commands in COMMANDS.items():
        for arguments in commands:
            yield Case(kind, " ".join(each[:60] or "''" for each in arguments), arguments)


def written(change: dict[str, Any]) -> str:
    """A change in a line, without what is as in the base."""
    here = {key: value for key, value in change.items() if value != GIVEN or key == ""}
    return json.dumps(here or change)
