"""Data that flows through earmark: frozen records, job options, manifests as data, Arrow schemas.

Imports nothing else of earmark, no Beam and no torch.
"""
