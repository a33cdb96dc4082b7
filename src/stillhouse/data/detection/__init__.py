"""Images with boxes: how annotations are read and checked, and how rows of them are shown."""
