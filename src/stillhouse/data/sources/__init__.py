"""Where data comes from: a file per kind of source, each gives `SourceSplits`; `find` chooses."""
