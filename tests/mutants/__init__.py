"""Faults of the checker, each with an expression in which a falsifier notices it."""

from mutants.exponents import DECISIONS, EXPONENTS
from mutants.index_algebra import INDICES
from mutants.mirrors import MIRRORS
from mutants.origins import ORIGINS
from mutants.recursions import RECURSIONS
from mutants.typing_rules import RULES

MUTANTS = (*RULES, *INDICES, *RECURSIONS, *EXPONENTS, *DECISIONS, *MIRRORS, *ORIGINS)
