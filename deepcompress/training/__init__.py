"""Compression within a training loop, of whatever framework: prune, retrain, share, fine-tune.

`decisions` says what becomes of a tensor, `course` when, `retraining` trains by the optimizers of
`nn` what a `Parameters` hands over. `deepcompress.torch` is the same for PyTorch's optimizers.
"""

from .course import Course, Timetable
from .retraining import Parameters, Retraining

__all__ = ["Course", "Parameters", "Retraining", "Timetable"]
