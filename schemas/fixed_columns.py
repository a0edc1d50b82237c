"""The columns of `annotations/` that every job has; a column for each task follows them."""

FIXED_COLUMNS = ("id", "uri", "offset_s", "channel", "reference", "extra", "audio")
