"""When Node-RED is started again."""

from __future__ import annotations

from launcher.crashloop import CrashLoop, after_loop


def policy() -> CrashLoop:
    return CrashLoop(random=lambda: 1.0)


def test_five_crashes_in_a_row_within_the_window_are_a_loop() -> None:
    loop = policy()
    assert [loop.crashed(float(now), 0).loop for now in range(5)] == [False] * 4 + [True]


def test_crashes_spread_wider_than_the_window_are_not() -> None:
    loop = policy()
    assert not any(loop.crashed(now * 200.0, 0).loop for now in range(10))


def test_a_run_that_is_of_use_breaks_the_row() -> None:
    loop = policy()
    for now in range(4):
        loop.crashed(float(now), 0)
    assert not loop.crashed(100, 90).loop
    assert not loop.crashed(101, 0).loop


def test_starts_that_somebody_asked_for_do_not_count() -> None:
    """FlowFuse: four restarts by a user, then one crash, made a loop (instance protocol L6)."""
    loop = policy()
    for _ in range(4):
        loop.crashed(0, 0)
        loop.reset()
    assert not loop.crashed(1, 35).loop


def test_delays_double_to_the_cap_and_start_over_after_a_healthy_run() -> None:
    loop = policy()
    delays = [loop.crashed(now * 1000.0, 0).delay_s for now in range(11)]
    assert delays[:9] == [1, 2, 4, 8, 16, 32, 64, 128, 256] and delays[9:] == [300, 300]
    assert loop.crashed(20_000, 601).delay_s == 0 and loop.crashed(20_001, 0).delay_s == 1


def test_the_first_crash_of_what_ran_is_made_good_at_once_and_the_next_waits() -> None:
    loop = policy()
    assert [loop.crashed(float(now), 5).delay_s for now in range(3)] == [0, 1, 2]
    assert loop.crashed(100, 61).delay_s == 0, "a minute of service is worth an attempt without a wait"
    assert loop.crashed(101, 5).delay_s == 4, "and forgets nothing"


def test_what_never_came_up_waits() -> None:
    assert policy().crashed(0, 0).delay_s == 1


def test_full_jitter() -> None:
    loop = CrashLoop()
    assert all(0 <= loop.crashed(now * 1e4, 0).delay_s <= 300 for now in range(2000))


def test_a_failed_start_backs_off_but_never_leads_to_safe_mode() -> None:
    loop = policy()
    answers = [loop.failed() for _ in range(8)]
    assert [answer.delay_s for answer in answers][:4] == [1, 2, 4, 8] and not any(answer.loop for answer in answers)


def test_what_a_loop_leads_to() -> None:
    assert [after_loop(word, False) for word in ("safe", "retry", "stop", "", "x")] == [
        "safe",
        "retry",
        "stop",
        "safe",
        "safe",
    ]
    assert after_loop("safe", True) == "retry" and after_loop("stop", True) == "stop"
