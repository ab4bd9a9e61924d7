"""The steps of polar factors in C++: those of `kernels.halley` and `kernels.zolotarev`."""

from __future__ import annotations

#: A matrix y stands with its long side first, n × k, rows `ld` apart; rows and columns of zeros
#: make both sides multiples of what a tile has. `FIRST` to `POLYNOMIAL` are numbers of the kernels.
SOURCE = r"""
static const int64_t PART = 512;

struct Room {
  int64_t n, k, ld;
  float *y, *z, *gram, *inner, *factor;
  void *work, *inverse, *strip;
};

// Rows of a room, of `ld` floats. Those of z, gram and inner hold y in double precision: n ≤ 2 k.
static int64_t room_rows(int64_t n, int64_t k) { return 2 * n + 3 * k + 2 * (2 * k + L); }

static Room room_in(float* memory, int64_t n, int64_t k, int64_t ld) {
  auto take = [&](int64_t rows) { return std::exchange(memory, memory + rows * ld); };
  float *y = take(n), *z = take(n), *gram = take(k), *inner = take(k), *factor = take(k);
  float *work = take(2 * k), *inverse = take(2 * k);
  return {n, k, ld, y, z, gram, inner, factor, work, inverse, take(2 * L)};
}

// The Frobenius norm of a symmetric matrix, or 1 for 0.
template <class S>
static double length(const Room& r, const S* gram) {
  double sum = 0;
  for (int64_t i = 0; i < r.k; ++i) {
    const S* x = gram + i * r.ld;
    double row = 0;
#pragma omp simd reduction(+ : row)
    for (int64_t j = i + 1; j < r.k; ++j) row += double(x[j]) * x[j];
    sum += 2 * row + double(x[i]) * x[i];
  }
  return sum == 0 ? 1 : std::sqrt(sum);
}

static void shift(const Room& r, float* s, float number) {
  for (int64_t i = 0; i < r.k; ++i) s[i * r.ld + i] += number;
}

// Sums of many rows are formed by parts, which rounding needs and caches like.
template <class S>
static void gram_of(const Room& r, const S* y, S* gram) {
  for (int64_t t = 0; t < r.n; t += PART) {
    const S* rows = y + t * r.ld;
    product<true, S>(r.k, r.k, std::min(PART, r.n - t), rows, r.ld, rows, r.ld, t ? gram : nullptr,
                     1, 1, gram, r.ld, true);
  }
}

// c = alpha a² + beta base + number I
static void square(const Room& r, float* a, const float* base, float beta, float alpha,
                   float number, float* c) {
  mirror(r.k, a, r.ld);
  product<false, float>(r.k, r.k, r.k, a, r.ld, a, r.ld, base, beta, alpha, c, r.ld, true);
  shift(r, c, number);
}

// factor += weight (scale gram + number I)^-1, in precision S
template <class S, class G>
static void add_inverse(const Room& r, const G* gram, S scale, S number, S weight) {
  S *s = static_cast<S*>(r.work), *found = static_cast<S*>(r.inverse);
  for (int64_t i = 0; i < r.k; ++i) {
    for (int64_t j = i / L * L; j < r.k; ++j) s[i * r.ld + j] = scale * gram[i * r.ld + j];
    s[i * r.ld + i] += number;
  }
  invert(r.k, s, static_cast<S*>(r.strip), found, r.ld);
  for (int64_t i = 0; i < r.k; ++i) {
    const int64_t row = i * r.ld;
    for (int64_t j = i / L * L; j < r.k; ++j) r.factor[row + j] += weight * found[row + j];
  }
}

static void clear(const Room& r) { std::memset(r.factor, 0, r.k * r.ld * sizeof(float)); }

static void apply(Room& r) {
  mirror(r.k, r.factor, r.ld);
  product<false, float>(r.n, r.k, r.k, r.y, r.ld, r.factor, r.ld, nullptr, 0, 1, r.z, r.ld, false);
  std::swap(r.y, r.z);
}

static void ninth_degree(Room& r, const double* step) {
  gram_of(r, r.y, r.gram);
  square(r, r.gram, r.gram, step[0], 1, step[1], r.inner);
  square(r, r.inner, r.gram, step[2], step[3], step[4], r.factor);
  apply(r);
}

static const double first[] = FIRST, second[] = SECOND, last[] = LAST;
static const double terms[] = TERMS, polynomial[] = POLYNOMIAL;

static void halley(Room& r) {
  double *exact = reinterpret_cast<double*>(r.z), *gram = static_cast<double*>(r.inverse);
  for (int64_t i = 0; i < r.n * r.ld; ++i) exact[i] = r.y[i];
  gram_of(r, exact, gram);
  const double size = length(r, gram), root = 1 / std::sqrt(size);
  double a = first[0], b = first[1], c = first[2];
  clear(r);
  add_inverse<double>(r, gram, c / size, 1, (a - b / c) * root);
  shift(r, r.factor, b / c * root);
  apply(r);
  gram_of(r, r.y, r.gram);
  a = second[0], b = second[1], c = second[2];
  clear(r);
  add_inverse<float>(r, r.gram, c, 1, a - b / c);
  shift(r, r.factor, b / c);
  apply(r);
  ninth_degree(r, last);
}

static void zolotarev(Room& r) {
  gram_of(r, r.y, r.gram);
  const double size = length(r, r.gram), root = 1 / std::sqrt(size);
  clear(r);
  add_inverse<double>(r, r.gram, 1 / size, terms[1], terms[0] * root);
  add_inverse<double>(r, r.gram, 1 / size, terms[3], terms[2] * root);
  shift(r, r.factor, terms[4] * root);
  apply(r);
  ninth_degree(r, polynomial);
}
"""
