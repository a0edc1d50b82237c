"""What a person sees of an output: a report, a card, other programs' formats, one row."""
