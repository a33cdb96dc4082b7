"""Detectors of torchvision's form: run as any network, and built by name."""

from stillhouse.models.detectors.adapter import DETECTIONS, LOSS, as_detector, is_detector

__all__ = ["DETECTIONS", "LOSS", "as_detector", "is_detector"]
