"""Polar factors of small matrices on CPUs: all polynomials of one matrix while caches hold it.

The polynomials of `kernels.express.polar_express_small` in C++, by products of its own: those that
are symmetric are formed up to the diagonal. Tiles are of registers of AVX-512.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from normdsl.compiler.kernels import express
from normdsl.compiler.kernels.products import in_place
from normdsl.compiler.native import build

#: Short sides for which its products take less time than those of libraries do.
SIZES = range(24, 256)


def takes(size: tuple[int, int], dtype: torch.dtype, device: str) -> bool:
    """Return whether polar factors of matrices of a size, dtype and device are computed here."""
    fits = dtype == torch.float32 and device == "cpu" and min(size) in SIZES
    return fits and refusal() is None


def polar_express_small(x: Tensor) -> Tensor:
    """Return what the kernel of this name does, but for rounding; it does, where this one can't."""
    rows, cols = x.shape[-2:]
    plain = type(x) is Tensor and in_place(x) and x.numel() > 0
    if not (plain and takes((rows, cols), x.dtype, x.device.type)):
        return express.polar_express_small(x)
    given = x.contiguous()
    found = torch.empty_like(given)
    count = given.numel() // (rows * cols)
    _function()(count, rows, cols, given.data_ptr(), found.data_ptr(), torch.get_num_threads())
    return found


@lru_cache(maxsize=1)
def refusal() -> str | None:
    """Return why there is none of it on this machine; None if there is."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return "the processor has no AVX-512"
    try:
        _function()
    except OSError as error:
        return str(error).splitlines()[0]
    return None


@lru_cache(maxsize=1)
def _function() -> Callable[..., None]:
    """Return `polar(count, rows, cols, given, found, threads)` in C++.

    Raises:
        OSError: if it cannot be compiled.
    """
    steps = ",\n".join(
        f"  {{{', '.join(f'{x!r}f' for x in step)}}}" for step in express.express_steps()
    )
    found = build.build(SOURCE.replace("STEPS", steps)).polar
    long, address = ctypes.c_int64, ctypes.c_void_p
    found.argtypes = [long, long, long, address, address, ctypes.c_int]
    found.restype = None
    return found


#: A matrix stands with its long side first, n × k, k the short side; rows and columns of zeros make
#: both multiples of what a tile has. `times` writes β base + α a b, or with aᵀ for `T`.
SOURCE = r"""
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <utility>

typedef __m512 V;
static const int64_t R = 8, L = 16;  // rows of a tile, entries of a register

template <bool T, int C>
static inline void tile(int64_t depth, const float* a, int64_t lda, const float* b, int64_t ldb,
                        const float* base, float beta, float alpha, float* c) {
  V sum[R][C];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < C; ++j) sum[r][j] = _mm512_setzero_ps();
  for (int64_t t = 0; t < depth; ++t) {
    V right[C];
    for (int j = 0; j < C; ++j) right[j] = _mm512_loadu_ps(b + t * ldb + L * j);
    for (int r = 0; r < R; ++r) {
      const V left = _mm512_set1_ps(T ? a[t * lda + r] : a[r * lda + t]);
      for (int j = 0; j < C; ++j) sum[r][j] = _mm512_fmadd_ps(left, right[j], sum[r][j]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < C; ++j) {
      V found = _mm512_set1_ps(alpha) * sum[r][j];
      if (base != nullptr)
        found += _mm512_set1_ps(beta) * _mm512_loadu_ps(base + r * ldb + L * j);
      _mm512_storeu_ps(c + r * ldb + L * j, found);
    }
}

template <bool T>
static void times(int64_t rows, int64_t depth, int64_t k, bool symmetric, const float* a,
                  const float* b, const float* base, float beta, float alpha, float* c) {
  for (int64_t i = 0; i < rows; i += R) {
    const int64_t cols = symmetric ? i / L * L + L : k;
    const float* left = T ? a + i : a + i * k;
    int64_t j = 0;
    for (; j + 2 * L <= cols; j += 2 * L)
      tile<T, 2>(depth, left, k, b + j, k, base ? base + i * k + j : base, beta, alpha,
                 c + i * k + j);
    for (; j < cols; j += L)
      tile<T, 1>(depth, left, k, b + j, k, base ? base + i * k + j : base, beta, alpha,
                 c + i * k + j);
  }
}

// One of four steps by which sixteen rows of sixteen are transposed: blocks of S change places.
template <int S>
static inline void exchange(V* v) {
  alignas(64) int first[L], second[L];
  for (int l = 0; l < L; ++l) first[l] = l & S ? L + l - S : l, second[l] = l & S ? L + l : l + S;
  const __m512i upper = _mm512_load_si512(first), lower = _mm512_load_si512(second);
  for (int i = 0; i < L; ++i)
    if (!(i & S)) {
      const V x = v[i], y = v[i + S];
      v[i] = _mm512_permutex2var_ps(x, upper, y);
      v[i + S] = _mm512_permutex2var_ps(x, lower, y);
    }
}

static void mirror(int64_t k, float* c) {
  for (int64_t i = L; i < k; i += L)
    for (int64_t j = 0; j < i; j += L) {
      V v[L];
      for (int r = 0; r < L; ++r) v[r] = _mm512_loadu_ps(c + (i + r) * k + j);
      exchange<8>(v), exchange<4>(v), exchange<2>(v), exchange<1>(v);
      for (int r = 0; r < L; ++r) _mm512_storeu_ps(c + (j + r) * k + i, v[r]);
    }
}

static void square(int64_t k, const float* a, const float* base, float beta, float alpha,
                   float shift, float* c) {
  times<false>(k, k, k, true, a, a, base, beta, alpha, c);
  for (int64_t i = 0; i < k; ++i) c[i * k + i] += shift;
  mirror(k, c);
}

static void gram_of(int64_t n, int64_t k, const float* y, float* gram) {
  times<true>(k, n, k, true, y, y, nullptr, 0, 1, gram);
  mirror(k, gram);
}

static const float steps[][5] = {
STEPS
};

extern "C" void polar(int64_t count, int64_t rows, int64_t cols, const float* given, float* found,
                      int threads) {
  const bool wide = rows < cols;
  const int64_t s = wide ? rows : cols, l = wide ? cols : rows;
  const int64_t k = (s + L - 1) / L * L, n = (l + R - 1) / R * R;
#pragma omp parallel num_threads(threads)
  {
    float* memory = static_cast<float*>(std::aligned_alloc(64, (2 * n + 3 * k) * k * 4));
    float *y = memory, *z = y + n * k, *gram = z + n * k, *inner = gram + k * k;
    float* factor = inner + k * k;
#pragma omp for schedule(static)
    for (int64_t b = 0; b < count; ++b) {
      const float* x = given + b * rows * cols;
      float largest = 0, size = 0;
#pragma omp simd reduction(max : largest)
      for (int64_t i = 0; i < rows * cols; ++i)
        largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
      if (largest == 0) largest = 1;
      std::memset(y, 0, n * k * 4);
      for (int64_t i = 0; i < l; ++i)
        for (int64_t j = 0; j < s; ++j)
          y[i * k + j] = x[wide ? j * cols + i : i * cols + j] / largest;
      gram_of(n, k, y, gram);
#pragma omp simd reduction(+ : size)
      for (int64_t i = 0; i < k * k; ++i) size += gram[i] * gram[i];
      size = size == 0 ? 1 : 1 / std::sqrt(size);
      for (int64_t i = 0; i < k * k; ++i) gram[i] *= size;
      for (int64_t i = 0; i < n * k; ++i) y[i] *= std::sqrt(size);
      bool first = true;
      for (const float* step : steps) {
        if (!first) gram_of(n, k, y, gram);
        first = false;
        square(k, gram, gram, step[0], 1, step[1], inner);
        square(k, inner, gram, step[2], step[3], step[4], factor);
        times<false>(n, k, k, false, y, factor, nullptr, 0, 1, z);
        std::swap(y, z);
      }
      float* out = found + b * rows * cols;
      for (int64_t i = 0; i < l; ++i)
        for (int64_t j = 0; j < s; ++j) out[wide ? j * cols + i : i * cols + j] = y[i * k + j];
    }
    std::free(memory);
  }
}
"""
