"""What a lab must have for a drill."""

from __future__ import annotations

from support.fakes import lab_of

from halab.drill import library, requirements


def test_the_traits_of_a_lab_count_its_workers() -> None:
    traits = requirements.traits_of(lab_of(control_planes=3, workers=2))
    assert (traits.control_planes, traits.workers, traits.balancers) == (3, 2, 1)


def test_the_traits_of_a_pair_have_both_load_balancers() -> None:
    assert requirements.traits_of(lab_of(load_balancer={"machines": 2})).balancers == 2


def test_a_drill_lacks_what_the_file_of_the_lab_does_not_give() -> None:
    drill = library.find("two-masters").drill
    assert requirements.lacking(lab_of(), drill) == ["the lab has 1 load balancer, and 2 are needed"]
    assert requirements.lacking(lab_of(load_balancer={"machines": 2}), drill) == []
