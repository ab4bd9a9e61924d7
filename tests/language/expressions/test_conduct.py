"""Facts that every node states: each is compared with the node's values."""

import functools

import attrs
import pytest
import torch
from norms_catalogue import brief
from properties import random_matrix

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.derive import Derivation
from normdsl.compiler.verdicts.probe import Probe
from normdsl.expressions import nodes
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.expr import Expr, Operation
from normdsl.expressions.nodes import Reducer
from normdsl.expressions.nodes.arithmetic import power
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.traversal import walk

GRAM = G @ G.T
POSITIVE = nd.abs(G)
BOTH = brief(nd.max_of(nd.spectral, 2 * nd.operator_norm(1, 2))).lmo(G)
#: Operations on G, of every class and in every mode of one.
OPERATIONS = [
    G + W, G * W, G * G, POSITIVE**0.5, power(POSITIVE, as_expr(-1)),
    *(nodes.Apply(f, POSITIVE if f.nonnegative_domain else G) for f in nodes.FUNCTIONS.values()),
    nodes.Maximum(G, W), nodes.Remainder(G, POSITIVE),
    *(nodes.Where(r, G, W, G, 2 * W) for r in nodes.Relation),
    nodes.Where(nodes.Relation.ABOVE, nd.sum(G), as_expr(0), G, W),
    G @ W.T, GRAM, G.T, nodes.MatrixPower(GRAM, as_expr(0.5)),
    nodes.MatrixPower(GRAM, as_expr(-0.25)),
    nodes.Cholesky(GRAM), nodes.Inverse(GRAM), nodes.Eigenbasis(GRAM), nodes.Polar(G),
    nodes.Eigenvalues(GRAM), nodes.UpperTriangle(GRAM), nodes.Vec(2 * G),
    nodes.Unvec(nodes.Vec(G) * nodes.Vec(W)),
    nodes.Qr(GRAM), nodes.TopSingular(G, as_expr(2)),
    nodes.Selection(nd.sum(POSITIVE, over="cols"), as_expr(2)),
    nodes.SingularNorm(G, nd.lp(4)), nodes.SingularLmo(G, nd.lp(4)),
    *(nodes.Inner(G, W, *axes) for axes in ((True, True), (True, False), (False, True))),
    *(nodes.Reduce(r, G, *axes) for axes in ((True, True), (True, False), (False, True))
      for r in Reducer),
    *(nodes.KthLargest(POSITIVE, 2, *axes)
      for axes in ((True, True), (True, False), (False, True))),
    *(nodes.Quantile(G, as_expr(0.3), *axes)
      for axes in ((True, True), (True, False), (False, True))),
    nodes.Across(Reducer.SUM, nd.sum(G)), nodes.BlockMean(G, 2, 2),
    nodes.WorkersMean(G), nodes.Returned(G, W),
    *(getattr(norm, name)(G) for name in ("lmo", "sharp", "dual", "value")
      for norm in (nd.spectral, nd.max_entry, nd.frobenius, nd.row_norm(nd.lp(2), nd.lp(1)))),
    BOTH, BOTH.definition,
]  # fmt: skip
M, N = 5, 6


PLAIN = nd.Declaration("plain", (), W - G)


@functools.cache
def probe(expr: Expr) -> Probe:
    return Probe(PLAIN, [expr])


def value(expr: Expr, g: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Return an expression's value, whatever its shape."""
    loss = torch.ones(1, 1, dtype=torch.float64)
    ((found,),) = probe(expr).run([(w, g, loss, {})], [], {})
    return found


def ids(expr: Expr) -> str:
    return f"{type(expr).__name__}: {expr}"


def concrete() -> set[type]:
    def below(cls):
        return {x for sub in cls.__subclasses__() for x in ({sub} | below(sub))}

    found = {c for c in below(Operation) if c.__module__.startswith("normdsl")}
    return {c for c in found if not c.__abstractmethods__ and not c.internal}


def test_there_is_an_operation_of_every_class():
    inside = {type(x) for op in OPERATIONS for x in (op, *walk(Derivation()(op)))}
    constants = {nodes.Eye, nodes.Dct, Constant}
    results = {nodes.Joint}  # of a rule over several parameters, with nothing above it
    assert concrete() - constants - results - inside == set()


def test_a_node_that_forgets_a_fact_cannot_be_made():
    @attrs.frozen(eq=False, repr=False)
    class Forgetful(Operation):
        internal = True
        footprint = Footprint.OWN
        commutes_with_transpose = True
        zero_with = ()
        jumps_with = ()

        arg: Expr

        def _infer_shape(self):
            return self.arg.shape

        def _notate(self, n):
            return n.call("forgetful", self.arg)

    with pytest.raises(TypeError, match=r"Forgetful.*role"):
        Forgetful(G)


def _entry(x: torch.Tensor) -> torch.Tensor:
    return x[0, min(1, x.shape[1] - 1)]


def _touched(expr: Expr) -> tuple[bool, bool, bool, bool]:
    """Return whether entry (0, 1) changes with G's entry there, in its row, its column, beyond."""
    g, w = random_matrix(M, N, 1), random_matrix(M, N, 2)
    here = value(expr, g, w)
    found = []
    for places in ([(0, 1)], [(0, 3), (0, 2)], [(3, 1), (2, 1)], [(3, 3), (1, 0)]):
        changed = False
        for i, j in places:
            for size in (0.3, 9.0, -9.0):
                h = g.clone()
                h[i, j] += size
                there = value(expr, h, w)
                changed |= not torch.allclose(_entry(here), _entry(there), rtol=1e-9)
        found.append(changed)
    return tuple(found)


ALLOWED = {
    Footprint.OWN: (True, False, False, False),
    Footprint.ROW: (True, True, False, False),
    Footprint.COLUMN: (True, False, True, False),
    Footprint.WORKERS: (True, False, False, False),  # and the same entry of others
}


@pytest.mark.parametrize("expr", [x for x in OPERATIONS if x.children[0] in (G, POSITIVE)], ids=ids)
def test_footprints_are_those_of_the_values(expr):
    touched = _touched(expr)
    allowed = ALLOWED.get(expr.footprint, (True,) * 4)
    assert all(may or not does for may, does in zip(allowed, touched, strict=True))
    beyond = any(touched[1:])
    # What lies beyond a worker is on others.
    assert beyond == (expr.footprint not in (Footprint.OWN, Footprint.WORKERS))


@pytest.mark.parametrize("expr", OPERATIONS, ids=ids)
def test_what_makes_a_node_zero_does(expr):
    g, w = random_matrix(M, N, 1), random_matrix(M, N, 2)
    zero = torch.zeros_like(g)
    for argument in expr.zero_with:
        leaf = g if argument is G or G in walk(argument) else w
        found = value(expr, zero if leaf is g else g, zero if leaf is w else w)
        assert torch.equal(found, torch.zeros_like(found)), argument


@pytest.mark.parametrize("expr", OPERATIONS, ids=ids)
def test_what_is_not_said_to_jump_is_continuous_at_zero(expr):
    g, w = random_matrix(M, N, 1), random_matrix(M, N, 2)
    if any(G in walk(x) for x in expr.jumps_with):
        return
    at, near = value(expr, 0 * g, w), value(expr, 1e-12 * g, w)
    torch.testing.assert_close(near, at, rtol=0, atol=1e-5)


@pytest.mark.parametrize("expr", [x for x in OPERATIONS if W not in x.children], ids=ids)
def test_what_commutes_with_transposes_does(expr):
    g, w = random_matrix(M, M, 1), random_matrix(M, M, 2)
    if expr.commutes_with_transpose and GRAM not in expr.children:
        torch.testing.assert_close(value(expr, g.mT, w.mT), value(expr, g, w).mT)


def test_roles_are_those_of_schedules():
    roles = {type(x): x.role for x in OPERATIONS if x.role is not None}
    assert roles[nodes.Polar] is Role.POLAR
    assert {x for x in Role if x.refreshed} == {
        Role.ROOT, Role.EIGENBASIS, Role.EIGENVALUES, Role.FACTOR, Role.INVERSE, Role.SUBSPACE,
    }  # fmt: skip
    kept = {
        nodes.MatrixPower, nodes.Cholesky, nodes.Inverse, nodes.Eigenbasis, nodes.Eigenvalues,
        nodes.TopSingular,
    }  # fmt: skip
    assert kept == {cls for cls, role in roles.items() if role.refreshed}
