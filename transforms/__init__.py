"""What Beam runs: one stage, one file; a pure function and a PTransform around it. Imports schemas and model."""
