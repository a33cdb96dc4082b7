"""What embeddings of images are like, whoever made them. Pure functions; nothing here trains a net.

`likeness` two embeddings of the same images (linear CKA, cosine), `neighbours` who is near whom
(overlap of neighbours, classification by them), `linear_probe` a linear classifier on embeddings,
`standardise` several of them to one scale.
"""
