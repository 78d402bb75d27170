"""The least time for products that gather elements of x: as many gathers, and nothing else."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI

_SOURCE = """
#include <immintrin.h>
#include <stdint.h>

/* Columns advance by a byte each, from a table that stays in the cache, and start again
 * beyond the last one; elements are added up, lest the gathers be left out. */
__attribute__((target("avx512f"))) void gather(const uint8_t *gaps, int64_t count, int cols,
                                               const float *x, float *out)
{
    __m512i at = _mm512_setzero_si512(), end = _mm512_set1_epi32(cols);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < count; i++) {
        __m128i gap = _mm_loadu_si128((const __m128i *)(gaps + 16 * (i & 4095)));
        at = _mm512_add_epi32(at, _mm512_cvtepu8_epi32(gap));
        at = _mm512_mask_sub_epi32(at, _mm512_cmpge_epi32_mask(at, end), at, end);
        sum = _mm512_add_ps(sum, _mm512_i32gather_ps(at, x, 4));
    }
    _mm512_storeu_ps(out, sum);
}

/* The same with the registers of AVX2, two of them a step. */
__attribute__((target("avx2"))) void gather_avx2(const uint8_t *gaps, int64_t count, int cols,
                                                 const float *x, float *out)
{
    const __m256i end = _mm256_set1_epi32(cols), last = _mm256_set1_epi32(cols - 1);
    __m256i at[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int64_t i = 0; i < 2 * count; i++) {
        __m128i gap = _mm_loadl_epi64((const __m128i *)(gaps + 8 * (i & 8191)));
        __m256i *to = &at[i & 1];
        *to = _mm256_add_epi32(*to, _mm256_cvtepu8_epi32(gap));
        *to = _mm256_sub_epi32(*to, _mm256_and_si256(_mm256_cmpgt_epi32(*to, last), end));
        sum[i & 1] = _mm256_add_ps(sum[i & 1], _mm256_i32gather_ps(x, *to, 4));
    }
    _mm256_storeu_ps(out, sum[0]);
    _mm256_storeu_ps(out + 8, sum[1]);
}
"""


def compile_gather() -> Any:
    """Return the C module, or None where it can't be compiled."""
    ffi = FFI()
    for name in ("gather", "gather_avx2"):
        ffi.cdef(f"void {name}(const uint8_t *, int64_t, int, const float *, float *);")
    ffi.set_source("_gather_limit", _SOURCE, extra_compile_args=["-O3"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(ffi.compile(tmpdir=folder))
        except Exception:  # whatever compilers and setuptools raise
            return None
        spec = importlib.util.spec_from_file_location("_gather_limit", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


class GatherLimit:
    """Gathers sixteen elements of x at a time, once for each of `entries` weights.

    By the widest gathers that there are, `has_avx512` says which.
    """

    def __init__(
        self, module: Any, x: np.ndarray, entries: int, density: float, has_avx512: bool
    ) -> None:
        rng = np.random.default_rng(0)
        largest = min(255, len(x) - 1)
        self.gaps = rng.geometric(density, 16 * 4096).clip(0, largest).astype(np.uint8)
        self.x, self.out = x, np.zeros(16, np.float32)
        count = -(-entries // 16)
        buffers = [
            module.ffi.from_buffer(kind, array)
            for kind, array in (
                ("uint8_t[]", self.gaps),
                ("float[]", self.x),
                ("float[]", self.out),
            )
        ]
        gaps, vector, out = buffers
        self.arguments = gaps, count, len(x), vector, out
        self.gather = module.lib.gather if has_avx512 else module.lib.gather_avx2

    def __call__(self) -> None:
        """Gather."""
        self.gather(*self.arguments)
