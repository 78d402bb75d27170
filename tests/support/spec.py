"""The worked example of the file format, as the specification prints it."""

import re

from deepcompress.container import records


def spec_example() -> bytes:
    text = records.__doc__.split("Worked example")[1]
    rows = re.findall(r"^    ((?:[0-9A-F]{2} +)+)", text, re.MULTILINE)
    return bytes.fromhex("".join(rows))
