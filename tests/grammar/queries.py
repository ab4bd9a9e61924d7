"""Queries: the gradient, the loss and products with the Hessian or all of it."""

import normdsl as nd
from grammar.core import EPS, dual, make, number, primal
from normdsl import G, W

QUERIES = [
    make(dual, lambda x: nd.gradient(at=W + x / 8), primal),
    make(dual, lambda x: nd.gradient(at=x), primal),
    make(dual, lambda x: nd.gradient(at=W + x / 8, fresh=True), primal),
    make(dual, lambda: nd.gradient(at=W + EPS * nd.spectral.lmo(G) / 8)),
    make(dual, lambda: nd.gradient(at=nd.prev(W, init=W))),
    make(number, lambda x: nd.loss_at(W - x / 8), primal),
    make(dual, lambda x: nd.hessian_product(x), primal),
    make(dual, lambda x, y: nd.hessian_product(x, at=W + y / 8), primal, primal),
    make(dual, lambda x: nd.gauss_newton_product(x), primal),
    make(dual, lambda x, y: nd.gauss_newton_product(x, at=y), primal, primal),
    make(dual, lambda x: nd.unvec(nd.hessian(at=W) @ nd.vec(x)), primal),
    make(primal, lambda x: nd.unvec(nd.inverse(nd.hessian()) @ nd.vec(x)), dual),
    make(primal, lambda x, y: nd.unvec(nd.inverse(nd.hessian(at=x)) @ nd.vec(y)), primal, dual),
]
