"""Students used where Stillhouse is not; benchmarks/bare_environment.py does it.

`recipes` trains them, `student` is one with its test images as files and what is said of them;
`with_torch` and `with_onnxruntime` are run in the bare environments and import nothing of here.
"""
