"""An output for people and other programs: a report, a dataset card, exports, one row."""
