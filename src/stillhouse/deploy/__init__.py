"""A student as others use it: a folder with weights, program, classes and preprocessing.

`preprocessing` what becomes of an image before a network sees it, `program` a network as a file
that torch runs alone, `folder` what a folder holds and says, `predictor` answers for images.
"""
