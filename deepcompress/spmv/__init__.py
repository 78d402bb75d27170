"""y = W x straight from packed weights (Han et al. 2016, section 6.3), and convolutions."""

from .convolution import convolve
from .forms import coordinates, survivors, transpose
from .product import check_out, columns_of, dot

__all__ = ["check_out", "columns_of", "convolve", "coordinates", "dot", "survivors", "transpose"]
