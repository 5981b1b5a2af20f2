"""Schedules: values by hand, and PyTorch's schedulers as outside judge."""
import numpy as np
import pytest

from fastnet import schedules

STEPS = 100


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
    (schedules.multi_step(1.0, [1, 3], gamma=0.5), [1, 0.5, 0.5, 0.25]),
    (schedules.multi_step(1.0, []), [1, 1]),
    (schedules.exponential(1.0, 0.5), [1, 0.5, 0.25]),
    (schedules.inverse_time(1.0, 1.0), [1, 1 / 2, 1 / 3]),
    (schedules.polynomial(1.0, 2, 2.0), [1, 0.25, 0, 0]),
    (schedules.cosine_restarts(1.0, 2, 2), [1, 0.5, 1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 1]),
    (schedules.cyclical(0.0, 1.0, 2, 1), [0, 0.5, 1, 0, 0.5, 1]),
    (schedules.cyclical(0.0, 1.0, 1, mode="triangular2"), [0, 1, 0, 0.5, 0, 0.25]),
    (schedules.cyclical(0.0, 1.0, 1, mode="exp_range", gamma=0.5), [0, 0.5, 0, 0.125]),
    (schedules.sequence([schedules.constant(1.0), schedules.exponential(2.0, 0.5), schedules.constant(3.0)], [2, 4]),
     [1, 1, 2, 1, 3, 3]),
    (schedules.sequence([schedules.exponential(1.0, 0.5)], []), [1, 0.5]),
    (schedules.warmup(schedules.constant(1.0), 4), [0.25, 0.5, 0.75, 1, 1]),
    (schedules.warmup(schedules.step(1.0, 2, gamma=0.5), 2), [0.5, 1, 0.5, 0.5, 0.25]),
])
def test_by_hand(schedule, expected):
    np.testing.assert_allclose(rates(schedule, len(expected)), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name, ours, options", [
    ("StepLR", schedules.step(0.3, 7, 0.2), dict(step_size=7, gamma=0.2)),
    ("CosineAnnealingLR", schedules.cosine(0.3, 40, 0.01), dict(T_max=40, eta_min=0.01)),
    ("OneCycleLR", schedules.one_cycle(0.3, 40), dict(max_lr=0.3, total_steps=40)),
    ("OneCycleLR", schedules.one_cycle(0.3, STEPS, 0.7), dict(max_lr=0.3, total_steps=STEPS, pct_start=0.7)),
    ("CosineAnnealingLR", schedules.cosine(0.3, STEPS, 0.01), dict(T_max=STEPS, eta_min=0.01)),
    ("ConstantLR", schedules.constant(0.3), dict(factor=1.0)),
    ("MultiStepLR", schedules.multi_step(0.3, (0, 5, 5, 40, 99), 0.5), dict(milestones=(0, 5, 5, 40, 99), gamma=0.5)),
    ("ExponentialLR", schedules.exponential(0.3, 0.9), dict(gamma=0.9)),
    ("LambdaLR", schedules.inverse_time(0.3, 0.25), dict(lr_lambda=lambda t: 1 / (1 + 0.25 * t))),
    ("PolynomialLR", schedules.polynomial(0.3), dict()),
    ("PolynomialLR", schedules.polynomial(0.3, 70, 2.5), dict(total_iters=70, power=2.5)),
    ("CosineAnnealingWarmRestarts", schedules.cosine_restarts(0.3, 7), dict(T_0=7)),
    ("CosineAnnealingWarmRestarts", schedules.cosine_restarts(0.3, 5, 2, 0.01), dict(T_0=5, T_mult=2, eta_min=0.01)),
    ("LinearLR", schedules.warmup(schedules.constant(0.3), 8), dict(start_factor=1 / 8, total_iters=7)),
    *(("CyclicLR", schedules.cyclical(0.1, 0.3, 7, down, mode, gamma),
       dict(base_lr=0.1, max_lr=0.3, step_size_up=7, step_size_down=down, mode=mode, gamma=gamma, cycle_momentum=False))
      for mode, gamma in (("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.98)) for down in (None, 12)),
    ("OneCycleLR", schedules.one_cycle(0.3, 40, 0.2, 10, 100, "linear"),
     dict(max_lr=0.3, total_steps=40, pct_start=0.2, div_factor=10, final_div_factor=100, anneal_strategy="linear")),
])
def test_torch_agrees(name, ours, options):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    judge = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    expected, count = [], options.get("total_steps", STEPS if options.get("T_max", STEPS) == STEPS else 40)
    for _ in range(count):  # PyTorch's one-cycle ends there, and its cosine comes up again
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < count:
            judge.step()
    np.testing.assert_allclose(rates(ours, count), expected, rtol=1e-9, atol=1e-15)


def test_torch_agrees_on_a_sequence():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = torch.optim.lr_scheduler
    judge = scheduler.SequentialLR(optimizer, [scheduler.LinearLR(optimizer, 0.1, total_iters=9),
                                               scheduler.ExponentialLR(optimizer, 0.9)], [9])
    ours = schedules.sequence([lambda t: 0.3 * (0.1 + 0.1 * t), schedules.exponential(0.3, 0.9)], [9])
    expected = []
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        judge.step()
    np.testing.assert_allclose(rates(ours, STEPS), expected, rtol=1e-9)


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
    (lambda: schedules.multi_step(0.1, [3, 1]), r"multi_step: milestones must be in order, got \[3, 1\]"),
    (lambda: schedules.multi_step(0.1, [1.5]), "multi_step: milestones must be an integer of at least 0 .*, got 1.5"),
    (lambda: schedules.multi_step(0.1, 3), "multi_step: milestones must be a list of numbers of updates, got 3"),
    (lambda: schedules.polynomial(0.1, 5, -1), "polynomial: power must be a finite number of at least 0, got -1"),
    (lambda: schedules.cosine_restarts(0.1, 0), "cosine_restarts: T_0 must be an integer of at least 1 and .*, got 0"),
    (lambda: schedules.cyclical(0.1, 1, mode="sine"), "cyclical: mode must be 'triangular', .* got 'sine'"),
    (lambda: schedules.cyclical(0.1, 1, 5, 0), "cyclical: step_size_down must be an integer of at least 1 .*, got 0"),
    (lambda: schedules.sequence([schedules.constant(1)], [1]), "sequence: schedules must be one more than .* 1 for 1"),
    (lambda: schedules.sequence([0.1], []), "sequence: schedules must be schedules, functions of the step, got 0.1"),
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
    assert schedules.exponential(1, 2)(10_000) == float("inf")


def test_restarts_far_away_are_found_at_once():
    assert schedules.cosine_restarts(1.0, 10)(10**15) == schedules.cosine_restarts(1.0, 10, 2)(10 * (2**40 - 1)) == 1


def test_any_function_of_the_step_can_be_warmed_up():
    assert rates(schedules.warmup(lambda step: 1 / (step + 1), 2), 3) == [0.5, 0.5, 1 / 3]
