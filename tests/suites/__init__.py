"""Suites that others wrote for optimizers, run against ours; `make suites` runs all of them.

- `test_torch_steps.py`, `test_torch_state.py`: torch's harness for optimizers, which `harness.py`
  imports, drives test bodies of our own: torch's wheel has the harness and not the tests. They are
  part of `make test`.
- `in_pytorch_optimizer.py`, `in_timm.py`: plugins that enter our optimizers in the registries of
  pytorch_optimizer and timm. Their wheels leave the tests out: `run.py` downloads the sdists to a
  temporary folder outside the repository and runs them there. Nothing of theirs is copied here.

A suite is given the classes of `ours.py`: a rule on matrices, AdamW on the rest. What it may
refuse, with which error and why, is the table `expected.py`: everything else has to pass, and what
is in the table has to fail as it says. `run.py` writes the counts to docs/suites.md.
"""
