"""y = W x straight from packed weights (Han et al. 2016, section 6.3), and convolutions."""

from .convolution import Geometry, convolve
from .product import as_numbers, check_out, coordinates, dot, exact_product

__all__ = [
    "Geometry",
    "as_numbers",
    "check_out",
    "convolve",
    "coordinates",
    "dot",
    "exact_product",
]
