"""Scores of answers against references, with the metrics and normalizers of published tables."""
