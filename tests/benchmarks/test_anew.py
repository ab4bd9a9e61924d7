"""What was compiled is forgotten, and what is compiled then goes elsewhere."""

import os

import pytest

from normdsl.benchmarks.anew import compiled_anew
from normdsl.compiler.native import build

CODE = 'extern "C" int three() { return 3; }'


@pytest.mark.skipif(build.compiler() is None, reason="needs a C++ compiler")
def test_native_code_is_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("NORMDSL_CACHE", str(tmp_path))
    calls = []
    compile_code = build._compile
    monkeypatch.setattr(build, "_compile", lambda *told: (calls.append(told), compile_code(*told)))
    with compiled_anew():
        assert os.environ["NORMDSL_CACHE"] != str(tmp_path)
        assert build.build(CODE).three() == build.build(CODE).three() == 3
    assert len(calls) == 1
    with compiled_anew():
        assert build.build(CODE).three() == 3
    assert len(calls) == 2
    assert not list(tmp_path.iterdir())
    assert os.environ["NORMDSL_CACHE"] == str(tmp_path)
    build._folder.cache_clear()
