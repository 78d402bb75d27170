"""The JSON files of a run's folder, of which one may name any: ``report.json``, ``config.json``."""

from deepcompress.experiments import journal
from deepcompress.reports.tables import read_report

from .limits import limited, outcome, require, scratch_path

_path = scratch_path()


def test_one_input(data: bytes) -> None:
    _path.write_bytes(data)
    with limited("reading a report"):
        report, _ = outcome(lambda: read_report(_path))
    require(report is None or isinstance(report, dict), "a report that isn't an object")
    with limited("comparing a config"):
        outcome(lambda: journal._compare(_path, '{"seed": 0}\n'))
