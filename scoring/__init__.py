"""What answers are worth: metrics, normalisers, benchmarks, published figures. Imports schemas, model, transforms."""
