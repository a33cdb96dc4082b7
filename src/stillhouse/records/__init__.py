"""Records: what is kept on disk, near the ground: every room above may write and read it.

schema        how a record is read and refused; what a metric is and how it is said
run, study, gallery   what a run, a study or search, and a synthesis write
files         whole-file writes, JSON lines
fingerprint   what made a product, in a word; the first difference of two descriptions
names         a text as the name of a file or folder
claim         one directory for one purpose: taken, resumed or refused
sealed        a folder of whole tensor files, each named by its checksum
source, code  what a user's code is: its source, the same on every Python
environment   versions and hardware of a run
"""
