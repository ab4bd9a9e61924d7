"""Products of large matrices in C++: panels that caches hold, multiplied by tiles of AVX-512."""

from __future__ import annotations

#: Of a batch, c = beta base + alpha a b, m × n by way of `depth`. A view says how far rows, columns
#: and matrices are apart, so that transposes need no copy. Of a symmetric product the tiles that
#: meet the upper half are formed, and mirrored. Parts of the depth are added one after the other,
#: parts of the rows are shared among threads if there are fewer matrices. It follows `tiles`.
SOURCE = r"""
#include <memory>

static const int64_t TALL = 12, WIDE = 32;                // rows and columns of a tile
static const int64_t DEPTH = 256, ROWS = 96, COLS = 512;  // of what is packed at a time
static const int64_t ROOM = (ROWS + COLS) * DEPTH;

struct View {
  const float* at;
  int64_t each, row, col;
  View of(int64_t k) const { return {at + k * each, each, row, col}; }
  const float* to(int64_t i, int64_t j) const { return at + i * row + j * col; }
};

// Panels of W columns along the depth; zeros fill the last.
template <int64_t W>
static void pack(View x, int64_t count, int64_t depth, float* to) {
  for (int64_t i = 0; i < count; i += W, to += W * depth) {
    const int64_t w = std::min(W, count - i);
    if (w < W) std::memset(to, 0, W * depth * 4);
    if (x.col == 1) {
      for (int64_t t = 0; t < depth; ++t) std::memcpy(to + t * W, x.to(t, i), w * 4);
      continue;
    }
    for (int64_t first = 0; first < depth; first += 16) {
      const int64_t last = std::min(depth, first + 16);
      for (int64_t r = 0; r < w; ++r)
        for (int64_t t = first; t < last; ++t) to[t * W + r] = *x.to(t, i + r);
    }
  }
}

static inline void small(int64_t depth, const float* a, const float* b, float alpha, float beta,
                         const float* base, int64_t lb, float* c, int64_t lc) {
  __m512 s[TALL][2];
#pragma GCC unroll 12
  for (int r = 0; r < TALL; ++r) s[r][0] = s[r][1] = _mm512_setzero_ps();
  for (int64_t t = 0; t < depth; ++t) {
    const __m512 x = _mm512_load_ps(b + t * WIDE), y = _mm512_load_ps(b + t * WIDE + 16);
#pragma GCC unroll 12
    for (int r = 0; r < TALL; ++r) {
      const __m512 left = _mm512_set1_ps(a[t * TALL + r]);
      s[r][0] = _mm512_fmadd_ps(left, x, s[r][0]);
      s[r][1] = _mm512_fmadd_ps(left, y, s[r][1]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < TALL; ++r)
    for (int j = 0; j < 2; ++j) {
      __m512 v = _mm512_set1_ps(alpha) * s[r][j];
      if (base != nullptr)
        v = _mm512_fmadd_ps(_mm512_set1_ps(beta), _mm512_loadu_ps(base + r * lb + 16 * j), v);
      _mm512_storeu_ps(c + r * lc + 16 * j, v);
    }
}

struct Sides {
  int64_t m, n, depth;
  float alpha, beta;
  bool symmetric;
};

// Rows `first` to `last` of one matrix.
static void multiply(const Sides& own, View a, View b, View base, float* c, int64_t first,
                     int64_t last, float* room) {
  float *left = room, *right = room + ROWS * DEPTH;
  alignas(64) float spare[TALL * WIDE];
  for (int64_t j = 0; j < own.n; j += COLS) {
    const int64_t cols = std::min(COLS, own.n - j);
    const int64_t end = own.symmetric ? std::min(last, j + cols) : last;
    for (int64_t t = 0; t < own.depth; t += DEPTH) {
      const int64_t deep = std::min(DEPTH, own.depth - t), lo = t ? own.n : base.row;
      const float *old = t ? c : base.at, beta = t ? 1 : own.beta;
      pack<WIDE>({b.to(t, j), 0, b.row, b.col}, cols, deep, right);
      for (int64_t i = first; i < end; i += ROWS) {
        const int64_t rows = std::min(ROWS, end - i);
        pack<TALL>({a.to(i, t), 0, a.col, a.row}, rows, deep, left);
        for (int64_t q = 0; q < cols; q += WIDE)
          for (int64_t p = 0; p < rows; p += TALL) {
            const int64_t y = i + p, x = j + q;
            if (own.symmetric && y >= x + WIDE) break;
            const float *l = left + p * deep, *r = right + q * deep;
            float* to = c + y * own.n + x;
            const float* from = old ? old + y * lo + x : nullptr;
            if (p + TALL <= rows && q + WIDE <= cols) {
              small(deep, l, r, own.alpha, beta, from, lo, to, own.n);
              continue;
            }
            small(deep, l, r, own.alpha, 0, nullptr, 0, spare, WIDE);
            for (int64_t u = 0; u < std::min(TALL, rows - p); ++u)
              for (int64_t v = 0; v < std::min(WIDE, cols - q); ++v)
                to[u * own.n + v] = spare[u * WIDE + v] + (from ? beta * from[u * lo + v] : 0);
          }
      }
    }
  }
}

// Sixteen rows, from `i` on, of the lower half.
static void mirrored(int64_t n, int64_t i, float* c) {
  const int64_t end = std::min(i + L, n);
  for (int64_t j = 0; j < i; j += L)
    if (i + L <= n) turn(c + j * n + i, n, c + i * n + j, n);
    else
      for (int64_t u = i; u < end; ++u)
        for (int64_t v = j; v < j + L; ++v) c[u * n + v] = c[v * n + u];
  for (int64_t u = i; u < end; ++u)
    for (int64_t v = i; v < u; ++v) c[u * n + v] = c[v * n + u];
}

struct Freed {
  void operator()(float* x) const { std::free(x); }
};

static float* room() {
  static thread_local std::unique_ptr<float, Freed> own(
      static_cast<float*>(std::aligned_alloc(64, ROOM * 4)));
  return own.get();
}

extern "C" void products(int64_t count, int64_t m, int64_t n, int64_t depth, const int64_t* views,
                         float alpha, float beta, float* c, int symmetric, int threads) {
  auto view = [&](int64_t k) {
    const int64_t* x = views + 4 * k;
    return View{reinterpret_cast<const float*>(x[0]), x[1], x[2], x[3]};
  };
  const View a = view(0), b = view(1), base = view(2);
  const Sides own{m, n, depth, alpha, beta, symmetric != 0};
  const int64_t share = count >= threads ? 1 : symmetric ? 4 * threads : threads;
  const int64_t size = std::max(TALL, (m + share * TALL - 1) / (share * TALL) * TALL);
  const int64_t parts = (m + size - 1) / size;
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(dynamic, 1)
    for (int64_t k = 0; k < count * parts; ++k) {
      const int64_t matrix = k / parts, first = k % parts * size;
      multiply(own, a.of(matrix), b.of(matrix), base.of(matrix), c + matrix * m * n, first,
               std::min(m, first + size), room());
    }
    if (symmetric) {
      const int64_t rows = (n + L - 1) / L;
#pragma omp for schedule(dynamic, 4)
      for (int64_t k = 0; k < count * rows; ++k)
        mirrored(n, k % rows * L, c + k / rows * n * n);
    }
  }
}
"""
