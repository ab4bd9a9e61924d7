"""Floors, as arithmetic; no rate is measured but to see that it can be."""

import pytest

from normdsl.benchmarks.floors import Probes, Rates, Work, five_products, rotations


def test_bytes_of_one_pass():
    assert Work(2.0).bytes([(10,), (2, 5)]) == 28 * 20
    assert Work(1.0).bytes([(10,)]) == 20 * 10
    assert Work(2.5).bytes([(1,)]) == 32


def test_products_are_counted_on_the_cheaper_side():
    assert five_products(8, 8) == 20 * 8**3 + 10 * 8**3
    assert five_products(2, 100) == 4 * 4 * 100 + 34 * 8
    work = Work(1.0, five_products)
    assert work.total([(2, 100), (100, 2), (7,)]) == 2 * five_products(2, 100)


def test_a_floor_is_bytes_over_bandwidth_and_flops_over_rate():
    rates = Rates(bandwidth=28.0, single=2.0, half=8.0)
    assert rates.floor(Work(2.0), ((10,),)) == 10
    products = Work(2.0, lambda m, n: m * n)
    assert rates.floor(products, ((2, 5),)) == 10 + 10 / 2
    assert rates.floor(Work(2.0, lambda m, n: m * n, half=True), ((2, 5),)) == 10 + 10 / 8
    assert Rates(28.0, 2.0).floor(Work(2.0, lambda m, n: m * n, half=True), ((2, 5),)) == 15


def test_soap_has_two_statistics_four_rotations_and_a_tenth_of_a_refresh():
    m, n = 30, 20
    statistics, turns = 2 * m * n * (m + n), 4 * m * n * (m + n)
    assert rotations(m, n) == pytest.approx(statistics + turns + (2 + 8 / 3) * (m**3 + n**3) / 10)


def test_probes_measure(monkeypatch):
    monkeypatch.setattr("normdsl.benchmarks.floors.SIDE", {"cpu": 8})
    rates = Probes(100, "cpu").measure()
    assert rates.bandwidth > 0
    assert rates.single > 0
