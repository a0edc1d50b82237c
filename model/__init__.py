"""What answers: engines behind one contract, and what they share. Imports schemas; no Beam."""
