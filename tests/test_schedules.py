"""Schedules: values by hand, and PyTorch's schedulers as outside judge."""
import numpy as np
import pytest

from fastnet import schedules


def rates(schedule, steps):
    return [schedule(step) for step in range(steps)]


@pytest.mark.parametrize("schedule, expected", [
    (schedules.constant(0.1), [0.1, 0.1, 0.1]),
    (schedules.step(1.0, 2, gamma=0.5), [1, 1, 0.5, 0.5, 0.25]),
    (schedules.cosine(1.0, 4), [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0, 0, 0]),
    (schedules.cosine(1.0, 2, eta_min=0.5), [1, 0.75, 0.5, 0.5]),
    (schedules.one_cycle(1.0, 5, pct_start=0.6, div_factor=2, final_div_factor=5), [0.5, 0.75, 1, 0.55, 0.1, 0.1]),
    (schedules.one_cycle(1.0, 5, 0.6, 2, 5, anneal_strategy="linear"), [0.5, 0.75, 1, 0.55, 0.1, 0.1]),
    (schedules.one_cycle(1.0, 3, pct_start=0.0, div_factor=2, final_div_factor=5), [1, 0.55, 0.1]),
    (schedules.one_cycle(1.0, 3, pct_start=1.0, div_factor=2), [0.5, 0.75, 1, 1]),
    (schedules.one_cycle(1.0, 1), [1, 1]),
    (schedules.warmup(schedules.constant(1.0), 4), [0.25, 0.5, 0.75, 1, 1]),
    (schedules.warmup(schedules.step(1.0, 2, gamma=0.5), 2), [0.5, 1, 0.5, 0.5, 0.25]),
])
def test_by_hand(schedule, expected):
    np.testing.assert_allclose(rates(schedule, len(expected)), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name, ours, options", [
    ("StepLR", schedules.step(0.3, 7, 0.2), dict(step_size=7, gamma=0.2)),
    ("CosineAnnealingLR", schedules.cosine(0.3, 40, 0.01), dict(T_max=40, eta_min=0.01)),
    ("OneCycleLR", schedules.one_cycle(0.3, 40), dict(max_lr=0.3, total_steps=40)),
    ("OneCycleLR", schedules.one_cycle(0.3, 40, 0.2, 10, 100, "linear"),
     dict(max_lr=0.3, total_steps=40, pct_start=0.2, div_factor=10, final_div_factor=100, anneal_strategy="linear")),
])
def test_torch_agrees(name, ours, options):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    judge = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    expected = []
    for _ in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 40:
            judge.step()
    np.testing.assert_allclose(rates(ours, 40), expected, rtol=1e-9)


@pytest.mark.parametrize("make, message", [
    (lambda: schedules.constant(-1), "constant: lr must be a finite number of at least 0, got -1"),
    (lambda: schedules.constant("0.1"), "constant: lr must be a finite number of at least 0, got '0.1'"),
    (lambda: schedules.step(0.1, 0), "step: step_size must be an integer of at least 1 and .*, got 0"),
    (lambda: schedules.step(0.1, 5, gamma=float("nan")), "step: gamma must be a finite number"),
    (lambda: schedules.cosine(0.1, 2.5), "cosine: total_steps must be an integer of at least 1 and .*, got 2.5"),
    (lambda: schedules.one_cycle(0.1, 10, 1.5), "one_cycle: pct_start must be .* of at least 0 and at most 1, got 1.5"),
    (lambda: schedules.one_cycle(0.1, 10, div_factor=0), "one_cycle: div_factor must be .* of at least 1, got 0"),
    (lambda: schedules.one_cycle(0.1, 10, anneal_strategy="exp"), "anneal_strategy must be 'cos' or 'linear', got 'ex"),
    (lambda: schedules.warmup(schedules.constant(1), 0), "warmup: steps must be an integer of at least 1 and .*, got "),
    (lambda: schedules.warmup(0.1, 5), "warmup: schedule must be a function of the step, such as .*, got 0.1"),
    (lambda: schedules.cosine(0.1, 5)(-1), "cosine: step must be an integer of at least 0 and .*, got -1"),
    (lambda: schedules.cosine(0.1, 5)(0.5), "cosine: step must be an integer of at least 0 and .*, got 0.5"),
])
def test_bad_arguments(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_they_print_and_compare_by_their_arguments():
    assert repr(schedules.cosine(0.1, np.int64(40))) == "cosine(lr=0.1, total_steps=40, eta_min=0.0)"
    assert repr(schedules.warmup(schedules.constant(1), 4)) == "warmup(schedule=constant(lr=1.0), steps=4)"
    assert schedules.cosine(1, 40) == schedules.cosine(1.0, 40, eta_min=0) != schedules.cosine(1.0, 41)
    assert schedules.constant(1) != schedules.step(1, 2) and len({schedules.constant(1), schedules.constant(1.0)}) == 1
    with pytest.raises(AttributeError):
        schedules.constant(1).lr = 2


def test_a_staircase_that_climbs_beyond_all_numbers():
    assert schedules.step(1, 1, gamma=2)(10_000) == float("inf")


def test_any_function_of_the_step_can_be_warmed_up():
    assert rates(schedules.warmup(lambda step: 1 / (step + 1), 2), 3) == [0.5, 0.5, 1 / 3]
