"""Where data comes from: a file per source, each gives `SourceSplits`; `find` picks the source."""
