"""Entered: whether dictionaries still have the objects that were put there, seen by C++."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from normdsl.compiler.native import build

#: Functions of the interpreter.
_NEXT, _GET = (
    ctypes.cast(function, ctypes.c_void_p).value
    for function in (ctypes.pythonapi.PyDict_Next, ctypes.pythonapi.PyDict_GetItemWithError)
)
#: Dictionaries, a name, and what each of them has by it.
Column: TypeAlias = tuple[Sequence[dict[str, Any]], str, Sequence[object]]


class Entered:
    """Looks whether a dictionary has the same values, and dictionaries the same objects.

    Args:
        outer: a dictionary. columns: dictionaries of no subclass, a name, and what each has by it.

    Raises:
        OSError: if it cannot be compiled.
    """

    def __init__(self, outer: dict[Any, Any], columns: Sequence[Column]) -> None:
        values = list(outer.values())
        ids = [_ids(values), *(_ids(x) for dicts, _, found in columns for x in (dicts, found))]
        self._kept = outer, values, columns, ids  # alive, as they are looked at by address
        self._outer = _NEXT, len(values), id(outer), ids[0].data_ptr()
        pairs = zip(columns, ids[1::2], ids[2::2], strict=True)
        self._columns = [
            (_GET, len(dicts), own.data_ptr(), id(name), found.data_ptr())
            for (dicts, name, _), own, found in pairs
        ]
        library = _library()
        self._same, self._have = library.same, library.have

    def holds(self) -> bool:
        """Return whether they have."""
        return bool(self._same(*self._outer)) and all(self._have(*x) for x in self._columns)


def _ids(objects: Sequence[object]) -> Tensor:
    return torch.tensor(list(map(id, objects)), dtype=torch.int64, device="cpu")


@lru_cache(maxsize=1)
def _library() -> Any:
    found = ctypes.PyDLL(str(build.built(SOURCE)))
    long, address = ctypes.c_int64, ctypes.c_void_p
    found.same.argtypes = [address, long, address, address]
    found.have.argtypes = [address, long, address, address, address]
    return found


#: Both are called while Python waits, whose functions they are given.
SOURCE = r"""
#include <cstdint>

typedef int (*Next)(void*, intptr_t*, void**, void**);
typedef void* (*Get)(void*, void*);

static const int64_t AHEAD = 8;  // dictionaries later, what is fetched is there

extern "C" int same(Next next, int64_t n, void* outer, void* const* values) {
  intptr_t place = 0;
  int64_t k = 0;
  void *key, *value;
  while (next(outer, &place, &key, &value))
    if (k == n || value != values[k++]) return 0;
  return k == n;
}

extern "C" int have(Get get, int64_t n, void* const* dicts, void* name, void* const* values) {
  for (int64_t k = 0; k < n + 2 * AHEAD; ++k) {
    if (k < n) __builtin_prefetch(dicts[k]);
    int64_t j = k - AHEAD;
    if (j >= 0 && j < n)  // one of these words is the address of its entries
      for (int word = 3; word < 6; ++word)
        for (int line = 0; line < 3; ++line)
          __builtin_prefetch(static_cast<char* const*>(dicts[j])[word] + 64 * line);
    j -= AHEAD;
    if (j >= 0 && j < n && get(dicts[j], name) != values[j]) return 0;
  }
  return 1;
}
"""
