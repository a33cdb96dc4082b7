"""What `python benchmarks/gpu.py` measures on a CUDA card, one subject a file.

`pairs` says which networks, `clock` how seconds are taken, `forms` what a precision and a form of
the step are; `steps`, `batches`, `rivals` and `peak` measure, `correct` checks.
"""
