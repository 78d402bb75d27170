"""y = W x straight from packed weights (Han et al. 2016, section 6.3), and convolutions."""

from .convolution import convolve
from .forms import coordinates, survivors
from .product import as_numbers, check_out, dot

__all__ = ["as_numbers", "check_out", "convolve", "coordinates", "dot", "survivors"]
