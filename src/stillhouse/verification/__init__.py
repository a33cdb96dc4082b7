"""Is it the same person? What is measured where embeddings of two images are compared.

`pairs` which images are compared and their cosines, `curve` accepted pairs by threshold (ROC, area
under it, equal error rate), `rates` TAR at FAR, `folds` accuracy by folds, `people` intervals by
resampling people. Pure functions of numbers; nothing here knows what trained the embeddings.
"""
