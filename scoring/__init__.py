"""How good answers are: references beside hypotheses, by the metrics and normalisers that published tables use."""
