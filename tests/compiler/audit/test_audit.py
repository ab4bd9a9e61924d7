"""Audits of whole optimizers: the defects known of them are found without being told."""

import functools

import pytest
import torch
from specimens import NeedsLoss, OnlyFloat32, Plain

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.audit.findings import Kind, Status
from normdsl.compiler.audit.runs import RefusedError
from normdsl.compiler.invariance import groups

NAMES = [group.name for group in groups.ALL]


@functools.cache
def audited(factory, **options):
    return nd.audit(functools.partial(factory, **options) if options else factory)


def broken(audit):
    return {f.probe for f in audit if f.kind is Kind.SYMMETRY and f.status is not Status.HOLDS}


def defects(audit):
    return {(f.probe, f.options, f.dtype) for f in audit.defects}


def test_an_absolute_floor_is_found_where_it_starts_to_decide():
    found = audited(torch.optim.Muon).of("gradient_scale")
    assert {f.dtype for f in found} == {"float64", "float32", "bfloat16"}
    assert all(f.status is Status.ABOVE for f in found)
    assert all(1e-6 < f.above < 1e-4 for f in found)
    assert all(f.curve[0] > 0.5 for f in found)
    assert all(max(f.curve[6:]) < 1e-3 for f in found)


def test_a_buffer_overwritten_under_one_option_in_one_dtype_is_found():
    audit = audited(torch.optim.Muon)
    corrupted = [f for f in audit.defects if f.kind is Kind.MEMORY]
    assert [(f.probe, f.options, f.dtype) for f in corrupted] == [
        ("precision", "nesterov=False", "bfloat16")
    ]
    assert "momentum_buffer" in corrupted[0].why
    assert corrupted[0].step == 1
    assert corrupted[0].factor > 0.5


def test_symmetries_are_told_from_the_rounding_of_bfloat16_inside():
    audit = audited(torch.optim.Muon)
    held = {"orthogonal", "left_orthogonal", "right_orthogonal", "signed_permutations"}
    assert broken(audit) == set(NAMES) - held - {"loss_scale"}
    assert audit["orthogonal"].factor > 1e-4
    assert all(audit[name].factor < 5 * audit[name].noise for name in held)


def test_entrywise_averages_know_signs_and_permutations_and_have_a_floor():
    audit = audited(torch.optim.AdamW)
    held = {"sign_flips", "signed_permutations", "permutations", "loss_scale", "transpose"}
    assert broken(audit) == set(NAMES) - held
    assert audit["translation"].factor < 0.05  # weight decay alone
    assert audit["gradient_scale"].status is Status.ABOVE
    assert 1e-4 < audit["gradient_scale"].above < 1e-2
    assert ("zero_gradient", "defaults", "float16") in defects(audit)  # an eps that is 0 there
    assert {o for o, _ in audit.untried} == {"capturable=True", "differentiable=True"}


def test_a_homogeneous_optimizer_holds_everywhere_it_should():
    audit = audited(torch.optim.SGD, momentum=0.9)
    units = {"scale", "row_column_scale", "uniform_scale", "loss_scale", "loss_transform"}
    assert broken(audit) == units | {"affine", "left_affine", "right_affine"}
    assert all(f.status is Status.HOLDS for f in audit.of("gradient_scale"))
    assert "∝ ‖G‖^1" in audit["gradient_scale"].why
    assert not {d for d in defects(audit) if not d[1].startswith("fused")}
    assert {"nesterov=True", "maximize=True"} <= {f.options for f in audit}


def test_a_rule_of_normdsl_holds_at_all_scales():
    audit = audited(normalised)
    assert all(f.status is Status.HOLDS for f in audit.of("gradient_scale"))
    assert audit["orthogonal"].status is Status.HOLDS
    assert audit["orthogonal"].factor < 1e-10
    assert audit.name == "normalised"


@nd.optimizer
def averaged_signs(lr=1e-3, beta=0.9):
    return W + lr * nd.max_entry.lmo(nd.ema(G, beta))


@nd.optimizer
def normalised(lr=1e-3):
    return W + lr * nd.spectral.lmo(G)


@pytest.mark.parametrize("rule", [averaged_signs, normalised], ids=lambda r: r.name)
def test_an_audit_agrees_with_the_checker(rule):
    audit = audited(rule)
    for verdict in rule.check():
        assert (audit[verdict.group.name].status is Status.HOLDS) == verdict.invariant


def test_an_undetermined_eigenbasis_is_judged_on_square_weights():
    optimizers = pytest.importorskip("pytorch_optimizer")
    audit = audited(optimizers.SOAP)
    assert audit["orthogonal"].shape == (6, 6)
    assert audit["orthogonal"].status is Status.HOLDS
    assert audit["scale"].status is Status.BREAKS


def test_a_gradient_overwritten_under_an_option_is_found():
    optimizers = pytest.importorskip("pytorch_optimizer")
    assert ("gradient_kept", "maximize=True", "float32") in defects(audited(optimizers.Lion))


def test_dtypes_that_are_refused_are_no_defect():
    audit = audited(OnlyFloat32)
    refused = [f for f in audit if f.probe == "dtype"]
    assert {f.dtype for f in refused} == {"float64", "bfloat16", "float16"}
    assert all(f.answer == "not supported" and "expected scalar" in f.why for f in refused)
    assert not audit.defects
    assert audit["orthogonal"].dtype == "float32"
    assert audit["orthogonal"].status is Status.HOLDS
    assert audit["scale"].status is Status.BREAKS


def test_a_closure_is_given_where_one_is_needed():
    audit = audited(NeedsLoss)
    assert audit["loss_scale"].status is Status.HOLDS
    assert audit["uniform_scale"].status is Status.HOLDS
    assert audit["scale"].status is Status.BREAKS


def test_audits_repeat_themselves():
    assert nd.audit(NeedsLoss).findings == audited(NeedsLoss).findings


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        (lambda params: None, "returned a NoneType"),
        (lambda params, lr: Plain(params, lr), "required positional argument"),
    ],
)
def test_what_is_no_optimizer_is_refused_in_words(factory, told):
    with pytest.raises(RefusedError, match=told):
        nd.audit(factory)
