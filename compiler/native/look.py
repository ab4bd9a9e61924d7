"""Look: what a plan rests on of its parameters and their gradients, seen in one pass of C++.

After a kernel has passed over hundreds of megabytes no head of a tensor is left in the cache. Here
those of many are fetched at the same time, and no object of Python is made of any.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.native import build

_LONG, _ADDRESS = ctypes.c_int64, ctypes.c_void_p
#: What `holds` answers.
_FITS, _WRITTEN = 1, 2
#: Words of an object of Python among which the address of its tensor is looked for.
_WORDS = 8


class Look:
    """Looks at parameters and their gradients, which are plain tensors.

    Types, layouts, dtypes, devices, shapes and strides are those that they had when this was made,
    or they do not fit.

    Args:
        params: the parameters, each with a gradient.

    Attributes:
        places: addresses of the entries of weights, and of gradients, when they last fitted.
        written: whether weights were written after `note`, or it was never called.

    Raises:
        OSError: if it cannot be compiled. Where there is a `refusal`, none may be made.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = tuple(params)  # kept alive, as they are looked at by address
        self.places = torch.zeros((2, len(self.params)), dtype=torch.int64, device="cpu")
        self.written = True
        library = _library()
        place = 8 * (_word() or 0)
        slots = torch.tensor([id(p) + place for p in self.params], device="cpu")
        self._own = library.begun(len(self.params), slots.data_ptr(), self.places.data_ptr())
        self._holds, self._note, self._wrote = library.holds, library.note, library.wrote
        weakref.finalize(self, library.ended, self._own)

    def holds(self) -> bool:
        """Return whether all fit, and note where they are."""
        found = self._holds(self._own)
        self.written = self.written or bool(found & _WRITTEN)
        return bool(found & _FITS)

    def note(self) -> None:
        """Note the versions of weights, by which it is known that others wrote them."""
        self._note(self._own)
        self.written = False

    def wrote(self, first: int, last: int) -> None:
        """Tell torch that some of the weights were written."""
        self._wrote(self._own, first, last)


@lru_cache(maxsize=1)
def refusal() -> str | None:
    """Return why nothing is looked at by C++ on this machine; None if it is."""
    if _word() is None:
        return "tensors are not where they are looked for in this version of torch"
    try:
        _library()
    except OSError as error:
        return str(error).splitlines()[0]
    return None


@lru_cache(maxsize=1)
def _word() -> int | None:
    """Return which word of a tensor, as an object of Python, has its address; None if none has."""
    if sys.implementation.name != "cpython":
        return None
    x = torch.empty(0, device="cpu")
    words = ctypes.cast(id(x), ctypes.POINTER(ctypes.c_size_t))
    return next((k for k in range(2, _WORDS) if words[k] == x._cdata), None)


@lru_cache(maxsize=1)
def _library() -> Any:
    """Return the functions in C++, during which Python waits.

    Raises:
        OSError: if they cannot be compiled.
    """
    home = Path(torch.__file__).parent
    flags = [
        f"-DMADE_FOR={torch.__version__}",
        f"-I{home / 'include'}",
        f"-D_GLIBCXX_USE_CXX11_ABI={torch.compiled_with_cxx11_abi():d}",
    ]
    flags += [f"-L{home / 'lib'}", "-lc10", f"-Wl,-rpath,{home / 'lib'}"]
    found = ctypes.PyDLL(str(build.built(SOURCE, flags)))
    found.begun.restype, found.begun.argtypes = _ADDRESS, [_LONG, _ADDRESS, _ADDRESS]
    found.holds.argtypes = found.note.argtypes = found.ended.argtypes = [_ADDRESS]
    found.wrote.argtypes = [_ADDRESS, _LONG, _LONG]
    found.note.restype = found.wrote.restype = found.ended.restype = None
    return found


#: What is told of a tensor: keys of dispatch (layout, device, subclass), dtype, device, whether it
#: needs a gradient, axes, shape and strides. `AHEAD` tensors later, what a stage fetches is there.
SOURCE = r"""
#include <ATen/core/TensorBase.h>
#include <cstdint>
#include <vector>

typedef c10::TensorImpl Head;
static const int64_t AHEAD = 8;

static inline void fetch(const void* x, int lines) {
  for (int k = 0; k < lines; ++k) __builtin_prefetch(static_cast<const char*>(x) + 64 * k);
}

static inline const Head& gradient(const Head& x) {
  return *reinterpret_cast<const at::TensorBase&>(x.grad()).unsafeGetTensorImpl();
}

static inline int64_t kind(const Head& x) {
  const c10::Device device = x.device();
  const int64_t dtype = static_cast<int64_t>(c10::typeMetaToScalarType(x.dtype()));
  const int64_t type = static_cast<int64_t>(device.type());
  return dtype | type << 16 | int64_t(device.index() + 1) << 32 | int64_t(x.requires_grad()) << 48;
}

static bool is_plain(const Head& x) {
  return x.has_storage() && !x.has_symbolic_sizes_strides() && !const_cast<Head&>(x).is_inference();
}

static void tell(const Head& x, std::vector<int64_t>& told) {
  told.push_back(x.key_set().raw_repr()), told.push_back(kind(x)), told.push_back(x.dim());
  told.insert(told.end(), x.sizes().begin(), x.sizes().end());
  told.insert(told.end(), x.strides().begin(), x.strides().end());
}

static bool fits(const Head& x, const int64_t*& told) {
  const int64_t n = told[2];
  if (x.key_set().raw_repr() != uint64_t(told[0])) return false;
  if (!is_plain(x) || kind(x) != told[1] || x.dim() != n) return false;
  told += 3;
  for (int64_t k = 0; k < n; ++k)
    if (x.sizes()[k] != told[k] || x.strides()[k] != told[n + k]) return false;
  told += 2 * n;
  return true;
}

struct Seen {
  std::vector<Head* const*> slots;  // where objects of Python have the addresses of heads
  std::vector<int64_t> told;
  std::vector<uint32_t> versions;
  int64_t* places;
  const Head& at(int64_t k) const { return *slots[k][0]; }
};

static bool holds_all(Seen& own, bool& written) {
  const int64_t n = own.slots.size();
  const int64_t* told = own.told.data();
  for (int64_t k = 0; k < n + 5 * AHEAD; ++k) {
    int64_t j = k;
    if (j < n) fetch(own.slots[j], 1);
    if ((j -= AHEAD) >= 0 && j < n) fetch(own.slots[j][0], 4);
    if ((j -= AHEAD) >= 0 && j < n) {
      const Head& x = own.at(j);
      fetch(x.autograd_meta(), 2);
      fetch(x.unsafe_storage().unsafeGetStorageImpl(), 2);
      fetch(*reinterpret_cast<void* const*>(&x.version_counter()), 1);
    }
    if ((j -= AHEAD) >= 0 && j < n) fetch(&gradient(own.at(j)), 4);
    if ((j -= AHEAD) >= 0 && j < n) {
      const Head& g = gradient(own.at(j));
      if (g.has_storage()) fetch(g.unsafe_storage().unsafeGetStorageImpl(), 2);
    }
    if ((j -= AHEAD) < 0 || j >= n) continue;
    const Head &x = own.at(j), &g = gradient(x);
    if (!fits(x, told) || !fits(g, told)) return false;
    own.places[j] = reinterpret_cast<int64_t>(const_cast<Head&>(x).mutable_data());
    own.places[n + j] = reinterpret_cast<int64_t>(g.data());
    written = written || x.version_counter().current_version() != own.versions[j];
  }
  return true;
}

extern "C" void* begun(int64_t n, const int64_t* slots, int64_t* places) {
  Seen* own = new Seen();
  own->places = places, own->versions.resize(n);
  for (int64_t k = 0; k < n; ++k) {
    own->slots.push_back(reinterpret_cast<Head* const*>(slots[k]));
    tell(own->at(k), own->told), tell(gradient(own->at(k)), own->told);
  }
  return own;
}

extern "C" int holds(void* given) {
  bool written = false;
  try {
    if (holds_all(*static_cast<Seen*>(given), written)) return 1 | int(written) << 1;
  } catch (...) {
  }
  return 0;
}

extern "C" void note(void* given) {
  Seen& own = *static_cast<Seen*>(given);
  for (size_t k = 0; k < own.slots.size(); ++k)
    own.versions[k] = own.at(k).version_counter().current_version();
}

extern "C" void wrote(void* given, int64_t first, int64_t last) {
  Seen& own = *static_cast<Seen*>(given);
  for (int64_t k = first; k < last; ++k) const_cast<Head&>(own.at(k)).bump_version();
}

extern "C" void ended(void* given) { delete static_cast<Seen*>(given); }
"""
