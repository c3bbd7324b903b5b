"""What can be gained at most, as formulas. Measured against the real coordinator in `formula`.

G is the time of a model turn, g the time until a guess is made, T that of the tool, N the number of steps,
a the share of steps that are guessed right, k the guesses a step. All times in one unit, seconds for example.
"""

from __future__ import annotations

from collections.abc import Sequence


def sequential(steps: int, turn: float, tool: float) -> float:
    """N * (G + T): every call waits for its model turn."""
    return steps * (turn + tool)


def one_step_ahead(steps: int, turn: float, guess: float, tool: float, right: float) -> float:
    """a*N*max(G, g+T) + (1-a)*N*(G+T): a guess is right with share `right`, and costs nothing when wrong.

    Source: arXiv 2512.15834, speculation on the client's side.
    """
    return right * steps * max(turn, guess + tool) + (1 - right) * sequential(steps, turn, tool)


def hiding_bound(share_of_tool_time: float) -> float:
    """1 / (1 - share of tool time): the speed-up when no tool is waited for at all. Amdahl's law."""
    return 1 / (1 - share_of_tool_time)


def breadth(one: float, guesses: int) -> float:
    """p(k) = 1 - (1-p)^k: at least one of k independent guesses is right, each with probability p.

    Source: arXiv 2510.04371.
    """
    return float(1 - (1 - one) ** guesses)


def published_saving(right: float, guess_rate: float, call_rate: float) -> float:
    """p/(1+p) * alpha/(alpha+beta): the share of time saved, guesses and calls taking exponential times.

    Source: arXiv 2510.04371, whose algorithm opens no window in the step after a hit. It counts the whole
    overlap as saved, also where the call that was started early is over before the pending one is: an upper
    bound, see `exponential_saving`.
    """
    return right / (1 + right) * guess_rate / (guess_rate + call_rate)


def exponential_saving(right: float, guess_rate: float, call_rate: float) -> float:
    """q/(1+q) / 2, q = p * alpha/(alpha+beta): the same, exactly.

    q is the share of windows in which the guess is right and comes in time. Then min(call, rest of the
    pending call) is saved: both are exponential with rate beta, so that is 1/(2 beta) in the mean, and a
    cycle of 1+q calls takes (1+q)/beta.
    """
    hit = right * guess_rate / (guess_rate + call_rate)
    return hit / (1 + hit) / 2


def critical_path(guesses: Sequence[float], calls: Sequence[float]) -> float:
    """The time of a run of calls, each of which is started as soon as the one before it has been guessed.

    Call i+1 starts `guesses[i]` after call i did; the run ends when the last of all has answered. With
    guesses that take no time that is the longest call. Every guess right: no schedule is faster.
    """
    started, ended = 0.0, 0.0
    for guess, call in zip(guesses, calls, strict=True):
        ended = max(ended, started + call)
        started = min(started + guess, ended)
    return ended


def is_worth_it(right: float, overlap: float, overhead: float, rollback: float) -> bool:
    """a*overlap >= (1-a)*(overhead + blocking rollback): guessing loses no time on average."""
    return right * overlap >= (1 - right) * (overhead + rollback)
