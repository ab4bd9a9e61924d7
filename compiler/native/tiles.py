"""Products of matrices in C++, by tiles of registers of AVX-512, in single and double precision."""

from __future__ import annotations

#: Rows of a are `la` entries apart, and so on; sides are multiples of what a tile has. `product`
#: writes β base + α a b, or with aᵀ for `T`; of a symmetric result the upper half alone, which
#: `mirror` completes.
SOURCE = r"""
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <utility>

static const int64_t R = 8, L = 16;  // rows of a tile; rows and columns of a block

template <class S> struct Register;

template <> struct Register<float> {
  typedef __m512 V;
  static V load(const float* x) { return _mm512_loadu_ps(x); }
  static V all(float x) { return _mm512_set1_ps(x); }
  static void store(float* x, V v) { _mm512_storeu_ps(x, v); }
  static V plus(V c, V a, V b) { return _mm512_fmadd_ps(a, b, c); }
  static V minus(V c, V a, V b) { return _mm512_fnmadd_ps(a, b, c); }
};

template <> struct Register<double> {
  typedef __m512d V;
  static V load(const double* x) { return _mm512_loadu_pd(x); }
  static V all(double x) { return _mm512_set1_pd(x); }
  static void store(double* x, V v) { _mm512_storeu_pd(x, v); }
  static V plus(V c, V a, V b) { return _mm512_fmadd_pd(a, b, c); }
  static V minus(V c, V a, V b) { return _mm512_fnmadd_pd(a, b, c); }
};

template <bool T, int C, class S>
static inline void tile(int64_t depth, const S* a, int64_t la, const S* b, int64_t lb,
                        const S* base, S beta, S alpha, S* c, int64_t lc) {
  typedef Register<S> Q;
  typedef typename Q::V V;
  const int64_t N = 64 / sizeof(S);
  V sum[R][C];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < C; ++j) sum[r][j] = Q::all(0);
  for (int64_t t = 0; t < depth; ++t) {
    V right[C];
    for (int j = 0; j < C; ++j) right[j] = Q::load(b + t * lb + N * j);
    for (int r = 0; r < R; ++r) {
      const V left = Q::all(T ? a[t * la + r] : a[r * la + t]);
      for (int j = 0; j < C; ++j) sum[r][j] = Q::plus(sum[r][j], left, right[j]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < C; ++j) {
      V found = Q::all(alpha) * sum[r][j];
      if (base != nullptr) found += Q::all(beta) * Q::load(base + r * lc + N * j);
      Q::store(c + r * lc + N * j, found);
    }
}

template <bool T, class S>
static void product(int64_t rows, int64_t cols, int64_t depth, const S* a, int64_t la, const S* b,
                    int64_t lb, const S* base, S beta, S alpha, S* c, int64_t lc, bool symmetric) {
  const int64_t N = 64 / sizeof(S);
  for (int64_t j = 0, width; j < cols; j += width) {
    width = j + 2 * N <= cols ? 2 * N : N;
    const int64_t last = symmetric ? std::min(rows, j + width) : rows;
    for (int64_t i = 0; i < last; i += R) {
      const S *left = T ? a + i : a + i * la, *own = base ? base + i * lc + j : nullptr;
      S* to = c + i * lc + j;
      if (width == N) tile<T, 1, S>(depth, left, la, b + j, lb, own, beta, alpha, to, lc);
      else tile<T, 2, S>(depth, left, la, b + j, lb, own, beta, alpha, to, lc);
    }
  }
}

// One of four steps by which sixteen rows of sixteen are transposed: blocks of S change places.
template <int S>
static inline void exchange(__m512* v) {
  alignas(64) int first[L], second[L];
  for (int l = 0; l < L; ++l) first[l] = l & S ? L + l - S : l, second[l] = l & S ? L + l : l + S;
  const __m512i upper = _mm512_load_si512(first), lower = _mm512_load_si512(second);
  for (int i = 0; i < L; ++i)
    if (!(i & S)) {
      const __m512 x = v[i], y = v[i + S];
      v[i] = _mm512_permutex2var_ps(x, upper, y);
      v[i + S] = _mm512_permutex2var_ps(x, lower, y);
    }
}

static inline void turn(const float* from, int64_t lf, float* to, int64_t lt) {
  __m512 v[L];
  for (int r = 0; r < L; ++r) v[r] = _mm512_loadu_ps(from + r * lf);
  exchange<8>(v), exchange<4>(v), exchange<2>(v), exchange<1>(v);
  for (int r = 0; r < L; ++r) _mm512_storeu_ps(to + r * lt, v[r]);
}

static void transpose(int64_t rows, int64_t cols, const float* from, int64_t lf, float* to,
                      int64_t lt) {
  for (int64_t i = 0; i < rows; i += L)
    for (int64_t j = 0; j < cols; j += L)
      if (i + L <= rows && j + L <= cols) turn(from + i * lf + j, lf, to + j * lt + i, lt);
      else
        for (int64_t r = i; r < std::min(i + L, rows); ++r)
          for (int64_t q = j; q < std::min(j + L, cols); ++q) to[q * lt + r] = from[r * lf + q];
}

static void mirror(int64_t k, float* c, int64_t lc) {
  for (int64_t i = 0; i < k; i += L)
    for (int64_t j = i + L; j < k; j += L) turn(c + i * lc + j, lc, c + j * lc + i, lc);
}
"""
