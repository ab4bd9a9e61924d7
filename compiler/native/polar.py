"""Polar factors on CPUs: all steps of one matrix in C++, by products and inverses of its own.

They are those of `kernels.halley` and `kernels.zolotarev`. Symmetric products are formed up to the
diagonal, and nothing is copied, shifted or divided between them in memory that is fresh.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from normdsl.compiler.kernels import halley, zolotarev
from normdsl.compiler.kernels.products import in_place
from normdsl.compiler.native import build, cholesky, polar_steps, tiles

#: Short sides for which it takes less time than torch's operations do.
SIZES = range(16, 1025)
#: From this short side on, fewer matrices than threads take less time in torch, which shares each.
SHARED = 256


def takes(size: tuple[int, int], dtype: torch.dtype, device: str) -> bool:
    """Return whether polar factors of matrices of a size, dtype and device are computed here."""
    fits = dtype == torch.float32 and device == "cpu" and min(size) in SIZES
    return fits and refusal() is None


def polar_halley(x: Tensor) -> Tensor:
    """Return what the kernel of this name does, but for rounding; it does, where this can't.

    There is room for matrices with a long side of at most twice the short one, for which it is.
    """
    square = max(x.shape[-2:]) <= 2 * min(x.shape[-2:])
    return _found(x, 0) if square and _may(x) else halley.polar_halley(x)


def polar_zolotarev(x: Tensor) -> Tensor:
    """Return what the kernel of this name does, but for rounding; it does, where this can't."""
    return _found(x, 1) if _may(x) else zolotarev.polar_zolotarev(x)


#: What is computed here, by the names of kernels.
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "polar_halley": polar_halley,
    "polar_zolotarev": polar_zolotarev,
}


def _may(x: Tensor) -> bool:
    """Return whether matrices are computed here: enough of a size, which nothing traces."""
    rows, cols = x.shape[-2:]
    if type(x) is not Tensor or not in_place(x) or not x.numel():
        return False
    enough = min(rows, cols) < SHARED or x.numel() >= rows * cols * torch.get_num_threads()
    return enough and takes((rows, cols), x.dtype, x.device.type)


def _found(x: Tensor, way: int) -> Tensor:
    """Return polar factors in new memory, by Halley's steps (0) or Zolotarev's function (1)."""
    rows, cols = x.shape[-2:]
    given, found = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    count = given.numel() // (rows * cols)
    threads = min(count, torch.get_num_threads())
    polar, room = _functions()
    memory = given.new_empty(threads, room(rows, cols))
    polar(way, count, rows, cols, *map(Tensor.data_ptr, (given, found, memory)), threads)
    return found


@lru_cache(maxsize=1)
def refusal() -> str | None:
    """Return why there is none of it on this machine; None if there is."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return "the processor has no AVX-512"
    try:
        _functions()
    except OSError as error:
        return str(error).splitlines()[0]
    return None


@lru_cache(maxsize=1)
def _functions() -> tuple[Callable[..., None], Callable[[int, int], int]]:
    """Return `polar(way, count, rows, cols, given, found, memory, threads)` and `room(rows, cols)`.

    Raises:
        OSError: if it cannot be compiled.
    """
    library = build.build(source())
    long, address = ctypes.c_int64, ctypes.c_void_p
    polar, room = library.polar, library.room
    polar.argtypes = [ctypes.c_int, long, long, long, address, address, address, ctypes.c_int]
    polar.restype = None
    room.argtypes, room.restype = [long, long], long
    return polar, room


def source() -> str:
    """Return the C++ code, with the numbers of the kernels."""
    first, second = map(halley.halley_weights, halley.halley_starts())
    numbers = {
        "FIRST": first,
        "SECOND": second,
        "LAST": halley.halley_last(),
        "TERMS": zolotarev.zolotarev_terms(),
        "POLYNOMIAL": zolotarev.zolotarev_polynomial(),
    }
    steps = polar_steps.SOURCE
    for name, values in numbers.items():
        steps = steps.replace(f"[] = {name}", f"[] = {{{', '.join(map(repr, values))}}}")
    return tiles.SOURCE + cholesky.SOURCE + steps + SOURCE


#: What the caller has room for: `room` floats for each thread.
SOURCE = r"""
struct Sides {
  bool wide;
  int64_t s, l, k, n, ld;
};

static Sides sides(int64_t rows, int64_t cols) {
  const bool wide = rows < cols;
  const int64_t s = wide ? rows : cols, l = wide ? cols : rows;
  const int64_t k = (s + L - 1) / L * L, n = (l + R - 1) / R * R;
  return {wide, s, l, k, n, k % 128 ? k : k + L};  // rows 2ⁱ apart displace one another in caches
}

extern "C" int64_t room(int64_t rows, int64_t cols) {
  const Sides of = sides(rows, cols);
  return room_rows(of.n, of.k) * of.ld;
}

static void load(const Sides& of, const float* x, float* y) {
  float largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < of.s * of.l; ++i)
    largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
  if (largest == 0) largest = 1;
  std::memset(y, 0, of.n * of.ld * sizeof(float));
  if (of.wide) transpose(of.s, of.l, x, of.l, y, of.ld);
  for (int64_t i = 0; i < of.l; ++i) {
    const float* row = of.wide ? y + i * of.ld : x + i * of.s;
    for (int64_t j = 0; j < of.s; ++j) y[i * of.ld + j] = row[j] / largest;
  }
}

static void save(const Sides& of, const float* y, float* x) {
  if (of.wide) transpose(of.l, of.s, y, of.ld, x, of.l);
  else
    for (int64_t i = 0; i < of.l; ++i)
      std::memcpy(x + i * of.s, y + i * of.ld, of.s * sizeof(float));
}

extern "C" void polar(int way, int64_t count, int64_t rows, int64_t cols, const float* given,
                      float* found, float* memory, int threads) {
  const Sides of = sides(rows, cols);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    float* own = memory + part * room(rows, cols);
    for (int64_t b = count * part / threads; b < count * (part + 1) / threads; ++b) {
      Room r = room_in(own, of.n, of.k, of.ld);
      load(of, given + b * rows * cols, r.y);
      way ? zolotarev(r) : halley(r);
      save(of, r.y, found + b * rows * cols);
    }
  }
}
"""
