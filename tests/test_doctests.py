"""Examples in docstrings: they run and print what they say, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import normdsl as nd

#: Public modules whose functions and classes users call as well.
VOCABULARIES = (nd.decay, nd.scale, nd.views)


def is_called(value):
    """Return whether users call it: a function, a class, or a rule, which is an instance."""
    return inspect.isclass(value) or inspect.isfunction(value) or isinstance(value, nd.Declaration)


def own(module):
    """Return what a module defines for others to call, by full name."""
    return {
        f"{module.__name__}.{name}": value
        for name, value in vars(module).items()
        if is_called(value) and value.__module__ == module.__name__
    }


def documented():
    """Yield modules, what they define, and the members of classes, each with its full name."""
    for info in pkgutil.walk_packages(nd.__path__, "normdsl."):
        module = importlib.import_module(info.name)
        yield info.name, module
        for name, value in own(module).items():
            yield name, value
            if inspect.isclass(value):
                yield from ((f"{name}.{member}", x) for member, x in vars(value).items())


def examples():
    """Return the examples of everything documented, by full name."""
    parser = doctest.DocTestParser()
    found = {}
    for name, value in documented():
        text = getattr(value, "__doc__", None)
        if isinstance(text, str) and ">>>" in text:
            # A reader starts with none of the module's own names.
            names = {"__name__": "__main__"}
            found[name] = parser.get_doctest(inspect.cleandoc(text), names, name, None, None)
    return found


def public():
    """Return the full names of what users call."""
    values = [getattr(nd, name) for name in nd.__all__]
    values += [getattr(nd.plot, name) for name in nd.plot.__all__]
    rules = [getattr(nd.algorithms, name) for name in nd.algorithms.__all__]
    named = [f"{x.__module__}.{x.__qualname__}" for x in [*values, *rules] if is_called(x)]
    listed = [name for module in VOCABULARIES for name in own(module)]
    return sorted({*named, *(name for name in listed if "._" not in name)})


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_it_says(name):
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(EXAMPLES[name], out=told.append).failed == 0, "".join(told)


@pytest.mark.parametrize("name", public())
def test_what_users_call_has_an_example(name):
    assert name in EXAMPLES
