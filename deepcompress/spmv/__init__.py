"""y = W x straight from packed weights (Han et al. 2016, section 6.3), and convolutions."""

from .convolution import Geometry, convolve
from .product import check_out, coordinates, dot, exact_product

__all__ = [
    "Geometry",
    "check_out",
    "convolve",
    "coordinates",
    "dot",
    "exact_product",
]
