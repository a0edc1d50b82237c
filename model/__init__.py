"""Engines behind one contract, and the code that they share. Imports schemas; no Beam."""
