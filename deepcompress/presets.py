"""Configurations by a name that says what they are for."""

from collections.abc import Callable

from .config import Config, TensorConfig, paper_config
from .errors import ConfigError, shown
from .kinds import nearest


def preset(name: str) -> Config:
    """Return the configuration of a name.

    Parameters
    ----------
    name : {"paper", "small", "lossless"}
        ``"paper"``: the widths of the paper, 8-bit labels and gaps for convolutions and 5-bit
        for other weights. ``"lossless"``: all comes back bit for bit. ``"small"``: what
        ``compress --preset small`` takes for tensors that `calibrate.sharing_alone` leaves alone.
        That decides for all tensors together, which a configuration can't; by itself, this shares
        5-bit labels.

    Raises
    ------
    ConfigError
        If there is no such preset.

    Examples
    --------
    >>> preset("lossless").of("conv1.bias", (64,)).method
    'lossless'
    """
    if not isinstance(name, str) or name not in PRESETS:
        hint = nearest(name, PRESETS) if isinstance(name, str) else ""
        choices = ", ".join(PRESETS)
        raise ConfigError(f"unknown preset {shown(name)}; the choices are {choices}{hint}")
    return PRESETS[name]()


def _small() -> Config:
    # Short codes for common labels pay, and centroids that k-means has settled. Vectors and
    # tables of few values are as small as without loss.
    return Config(TensorConfig(coder="rans"), {"bias": {"method": "lossless", "coder": "rans"}})


def _lossless() -> Config:
    return Config(TensorConfig("lossless"), {"bias": {"method": "lossless"}})


SMALL = "small"
PRESETS: dict[str, Callable[[], Config]] = {
    "paper": paper_config,
    SMALL: _small,
    "lossless": _lossless,
}
