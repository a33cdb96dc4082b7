"""Tests of this folder need the packages of `make test-ecosystem`; elsewhere they are not read."""

from importlib.util import find_spec

PACKAGES = ("onnxruntime", "timm", "torchvision", "transformers", "webdataset")

collect_ignore_glob = [] if all(map(find_spec, PACKAGES)) else ["test_*.py"]
