"""Frames come in; one read per passing vehicle goes out, with the confidence of each character."""

from recognizer.errors import InferenceFailedError, ModelInvalidError, RecognizerError
from recognizer.plate import Jurisdiction, Plate, fold, normalise
from recognizer.read import Box, JurisdictionOpinion, PlateCandidate, PlateRead, Position

__all__ = [
    "Box",
    "InferenceFailedError",
    "Jurisdiction",
    "JurisdictionOpinion",
    "ModelInvalidError",
    "Plate",
    "PlateCandidate",
    "PlateRead",
    "Position",
    "RecognizerError",
    "fold",
    "normalise",
]
