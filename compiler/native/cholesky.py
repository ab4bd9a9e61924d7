"""Inverses of positive definite matrices in C++, by Cholesky's factor, block by block."""

from __future__ import annotations

#: S = L Lᵀ, of which the upper half is read. Row by row of blocks, `invert` puts Lᵀ above the
#: diagonal of S and M = L^{-1} on and below it: a block (i, j) is L_ii^{-1} (S_ij − Σ_t L_it W_tj)
#: over the rows t < i, S_ij being 0 below the diagonal and W what stands in the rows above. The
#: inverse is Mᵀ M, of which the upper half is written. Backward stable, as Cholesky's factor is.
SOURCE = r"""
// The inverse of Cholesky's factor of a block, by elimination in S and in I.
template <class S>
static void corner(S* c, int64_t lc) {
  typedef Register<S> Q;
  typedef typename Q::V V;
  const int64_t N = 64 / sizeof(S);
  alignas(64) S d[L][L], m[L][L];
  for (int r = 0; r < L; ++r)
    for (int q = 0; q < L; ++q) d[r][q] = c[r * lc + q], m[r][q] = r == q;
  for (int p = 0; p < L; ++p) {
    const S pivot = 1 / d[p][p];
    V x[L / N], y[L / N];
    for (int j = 0; j < L / N; ++j) x[j] = Q::load(d[p] + N * j), y[j] = Q::load(m[p] + N * j);
    for (int r = p + 1; r < L; ++r) {
      const V times = Q::all(d[p][r] * pivot);
      for (int j = 0; j < L / N; ++j) {
        Q::store(d[r] + N * j, Q::minus(Q::load(d[r] + N * j), times, x[j]));
        Q::store(m[r] + N * j, Q::minus(Q::load(m[r] + N * j), times, y[j]));
      }
    }
  }
  for (int r = 0; r < L; ++r) {
    const S scale = 1 / std::sqrt(d[r][r]);
    for (int q = 0; q < L; ++q) c[r * lc + q] = scale * m[r][q];
  }
}

template <class S>
static void invert(int64_t k, S* s, S* strip, S* found, int64_t ls) {
  for (int64_t i = 0; i < k; i += L) {
    S* row = s + i * ls;
    product<true, S>(L, k - i, i, s + i, ls, s + i, ls, row + i, 1, -1, row + i, ls, false);
    for (int64_t j = 0; j < i; j += L)
      product<true, S>(L, L, i - j, s + j * ls + i, ls, s + j * ls + j, ls, nullptr, 0, -1, row + j,
                       ls, false);
    corner(row + i, ls);
    std::memcpy(strip, row, L * ls * sizeof(S));
    product<false, S>(L, i, L, strip + i, ls, strip, ls, nullptr, 0, 1, row, ls, false);
    product<false, S>(L, k - i - L, L, strip + i, ls, strip + i + L, ls, nullptr, 0, 1,
                      row + i + L, ls, false);
  }
  for (int64_t j = 0; j < k; j += L)
    product<true, S>(j + L, L, k - j, s + j * ls, ls, s + j * ls + j, ls, nullptr, 0, 1, found + j,
                     ls, false);
}
"""
