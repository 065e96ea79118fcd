"""Renderer, data preparation and training of the plate models; development only, not installed on a unit."""
