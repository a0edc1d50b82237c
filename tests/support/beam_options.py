"""A parser of the options of Beam and its runners."""

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


def beam_parser() -> argparse.ArgumentParser:
    """A parser that accepts every option of Beam and its runners."""
    parser = argparse.ArgumentParser()
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(parser)
    return parser
