"""Stages of the Beam pipeline, one a file: a pure function and a PTransform around it. Imports schemas and model."""
