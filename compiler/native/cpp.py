"""Native code of CPUs: an entry-wise program as one C++ function over a table of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from normdsl.compiler.native.kernel import draws
from normdsl.compiler.native.operations import OPERATIONS
from normdsl.compiler.native.scalars import Operand, Scalars

#: For each dtype in which tensors are kept: its type in C++.
_STORED = {
    torch.float32: "float",
    torch.float64: "double",
    torch.float16: "_Float16",
    torch.bfloat16: "uint16_t",
}

#: Types and functions, before a definition of `T`. Operations are those of IEEE 754, none fused;
#: vector versions of the other functions come with glibc on x86.
_HEAD = """\
#include <cstdint>
#include <cstring>
#include <math.h>
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
extern "C" {
#pragma omp declare simd notinbranch
float expf(float) noexcept;
#pragma omp declare simd notinbranch
float logf(float) noexcept;
#pragma omp declare simd notinbranch
float cosf(float) noexcept;
#pragma omp declare simd notinbranch
float powf(float, float) noexcept;
#pragma omp declare simd notinbranch
double exp(double) noexcept;
#pragma omp declare simd notinbranch
double log(double) noexcept;
#pragma omp declare simd notinbranch
double cos(double) noexcept;
#pragma omp declare simd notinbranch
double pow(double, double) noexcept;
}
#endif
// Numbers as they are kept: bfloat16 is the upper half of float, and no struct, of which vectors
// would be copied one by one.
template <class S> static inline S wide(S x) { return x; }
static inline float wide(uint16_t bits) {
  const uint32_t all = uint32_t(bits) << 16;
  float x;
  std::memcpy(&x, &all, 4);
  return x;
}
static inline uint16_t nearest(float x) {
  uint32_t all;
  std::memcpy(&all, &x, 4);
  return x == x ? uint16_t((all + 0x7fff + ((all >> 16) & 1)) >> 16) : uint16_t(0x7fc0);
}

// A number of the generator SplitMix64, and x rounded by chance: see kernels/draws.py, rounding.py.
static inline uint64_t drawn(uint64_t x) {
  x *= 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
static inline uint16_t by_chance(float x, uint32_t noise) {
  uint32_t all;
  std::memcpy(&all, &x, 4);
  return x * 0 == 0 ? uint16_t((all + (noise & 0xffff)) >> 16) : nearest(x);
}

static inline float absolute(float x) { return __builtin_fabsf(x); }
static inline double absolute(double x) { return __builtin_fabs(x); }
static inline float root(float x) { return __builtin_sqrtf(x); }
static inline double root(double x) { return __builtin_sqrt(x); }
static inline float exponential(float x) { return expf(x); }
static inline double exponential(double x) { return exp(x); }
static inline float logarithm(float x) { return logf(x); }
static inline double logarithm(double x) { return log(x); }
static inline float cosine(float x) { return cosf(x); }
static inline double cosine(double x) { return cos(x); }
static inline float tangent(float x) { return tanhf(x); }
static inline double tangent(double x) { return tanh(x); }

// By the bits of x, whose exponent is divided by 3, then by Halley's method: 0.05, 1e-4, 1e-12, ...
static inline float cube_root(float x) {
  const float scale = x < 1e-30f ? 16777216.0f : x > 1e30f ? 5.9604645e-8f : 1.0f;
  const float z = x * scale;
  uint32_t bits;
  std::memcpy(&bits, &z, 4);
  bits = bits / 3 + 709921077u;
  float y;
  std::memcpy(&y, &bits, 4);
  for (int k = 0; k < 2; ++k) {
    const float cube = y * y * y;
    y = y * ((cube + 2 * z) / (2 * cube + z));
  }
  y *= scale > 1 ? 0.00390625f : scale < 1 ? 256.0f : 1.0f;
  return x == 0 || x * 0 != 0 ? x : x < 0 ? __builtin_nanf("") : y;
}
static inline double cube_root(double x) { return x < 0 ? __builtin_nan("") : cbrt(x); }
static inline float power(float x, float p) { return powf(x, p); }
static inline double power(double x, double p) { return pow(x, p); }
"""

#: Largest magnitude in each block of some tensors; NaN for one that is not finite. Four parts of a
#: block at a time: a processor reads several streams faster than one.
_MEASURE = """
template <class S>
static void largest(int64_t blocks, const int32_t* member, const int64_t* first,
                    const int64_t* last, const int64_t* table, int64_t, double* found,
                    int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int64_t b = 0; b < blocks; ++b) {
    const S* x = reinterpret_cast<const S*>(table[member[b]]) + first[b];
    const int64_t n = last[b] - first[b];
    const int64_t part = n / 4;
    T big = 0, wrong = 0;
#pragma omp simd reduction(max : big) reduction(+ : wrong)
    for (int64_t i = 0; i < part; ++i) {
      const T p = absolute(T(wide(x[i]))), q = absolute(T(wide(x[i + part])));
      const T r = absolute(T(wide(x[i + 2 * part]))), s = absolute(T(wide(x[i + 3 * part])));
      const T pq = p > q ? p : q, rs = r > s ? r : s, most = pq > rs ? pq : rs;
      big = most > big ? most : big;
      wrong += (p * 0 + q * 0) + (r * 0 + s * 0);
    }
    for (int64_t i = 4 * part; i < n; ++i) {
      const T size = absolute(T(wide(x[i])));
      big = size > big ? size : big;
      wrong += size * 0;
    }
    found[b] = double(big) + double(wrong);
  }
}
"""


def written(
    scalars: Scalars,
    dtypes: Mapping[str, torch.dtype],
    computed: torch.dtype,
    chance: Mapping[str, int],
) -> str:
    """Return the source of `step` and of `largest_W` and `largest_G`.

    `step(blocks, member, first, last, table, count, numbers, row, keys, ok, good, write, threads)`
    acts on entries `first` to `last` of the tensors of each block's member, whose addresses stand
    in `table`, `count` for each array. Numbers of members are `row` apart, 0 if all have the same.
    Draws of an entry are those of its place in its member, by the member's `keys`. It takes those
    for which `ok` holds, or all if there is none, and writes nothing if not `write`; `good` becomes
    false for members of which anything new is not finite.

    Args:
        scalars: what happens to an entry. dtypes: of each of its arrays.
        computed: the dtype in which it happens, float32 or float64.
        chance: the arrays that are rounded by chance, with their numbers, see `Kernel`.
    """
    kinds = {name: _STORED[dtypes[name]] for name in scalars.arrays}
    lines = [_HEAD, f"typedef {_STORED[computed]} T;", _MEASURE]
    for name in ("W", "G"):
        lines += [
            f'extern "C" void largest_{name}(int64_t blocks, const int32_t* member,',
            "    const int64_t* first, const int64_t* last, const int64_t* table, int64_t count,",
            "    double* found, int threads) {",
            f"  largest<{kinds[name]}>(blocks, member, first, last, table, count, found, threads);",
            "}",
        ]
    return "\n".join([*lines, *_step(scalars, kinds, chance)]) + "\n"


def _step(scalars: Scalars, kinds: Mapping[str, str], chance: Mapping[str, int]) -> list[str]:
    names, stored = scalars.arrays, dict(scalars.stored)
    used = [name for name in names if name in stored or name in scalars.read]
    pointers = [
        f"    {'' if name in stored else 'const '}{kinds[name]}* __restrict p{name} ="
        f" reinterpret_cast<{kinds[name]}*>(table[{k} * count + k]) + first[b];"
        for k, name in enumerate(names)
        if name in used
    ]
    numbers = [f"    const T n{k} = T(own[{k}]);" for k in range(len(scalars.numbers))]
    reads = [f"const T {name} = T(wide(p{name}[i]));" for name in scalars.read]
    lines = [f"const auto {x.name} = {_code(x.operation, x.operands)};" for x in scalars.lines]
    fours = draws(chance)
    keys = [f"    const uint64_t key{k} = drawn_by[{k}] + first[b];" for k in range(fours)]
    drawn = [f"const uint64_t draw{k} = drawn(key{k} + i);" for k in range(fours)]
    news = [
        f"const {kinds[k]} new{k} = {_kept(kinds[k], _operand(x), chance.get(k))};"
        for k, x in stored.items()
    ]
    checks = [f"wrong += T(wide(new{k})) * 0;" for k in stored]
    puts = [f"p{k}[i] = new{k};" for k in stored]
    body = [*reads, *lines, *drawn, *news, *checks]
    return [
        'extern "C" void step(int64_t blocks, const int32_t* member, const int64_t* first,',
        "    const int64_t* last, const int64_t* table, int64_t count, const double* numbers,",
        "    int64_t row, const uint64_t* keys, const bool* ok, bool* good, int write,",
        "    int threads) {",
        "#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)",
        "  for (int64_t b = 0; b < blocks; ++b) {",
        "    const int64_t k = member[b], n = last[b] - first[b];",
        "    if (ok != nullptr && !ok[k]) continue;",
        "    const double* own = numbers + k * row;",
        *pointers,
        *numbers,
        f"    const uint64_t* drawn_by = keys + k * {fours};",
        *keys,
        "    T wrong = 0;",
        "    if (write) {",
        *_loop([*body, *puts]),
        "    } else {",
        *_loop(body),
        "    }",
        "    if (wrong != 0) __atomic_store_n(good + k, false, __ATOMIC_RELAXED);",
        "  }",
        "}",
    ]


def _kept(kind: str, new: str, number: int | None) -> str:
    """Return a new value as it is kept; by chance, if it is of a state that has this number."""
    if number is not None:
        return f"by_chance(float({new}), uint32_t(draw{number // 4} >> {16 * (number % 4)}))"
    return f"nearest(float({new}))" if kind == _STORED[torch.bfloat16] else f"{kind}({new})"


def _loop(body: Sequence[str]) -> list[str]:
    return [
        "#pragma omp simd reduction(+ : wrong)",
        "      for (int64_t i = 0; i < n; ++i) {",
        *(f"        {line}" for line in body),
        "      }",
    ]


def _code(operation: str, operands: Sequence[Operand]) -> str:
    return OPERATIONS[operation].cpp.format(*map(_operand, operands))


def _operand(x: Operand) -> str:
    return x if isinstance(x, str) else f"T({x!r})"
