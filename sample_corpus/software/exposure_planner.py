"""The exposure planner of Halden Tor: chooses the next target and how long to expose.

Written by Jun Castellanos with Maren Holt. The queue is a list of targets sent before noon.
"""

from dataclasses import dataclass

LOWEST_ALTITUDE = 18.0      # degrees; below it the mirror cover hits the pier
MOON_DISTANCE = 35.0        # degrees; only for faint targets with Thistle
FAINT_MAGNITUDE = 11.5      # Thistle calls a star faint from here on
LONGEST_EXPOSURE = 1800     # seconds; longer ones collect too many cosmic rays
READOUT_SLOW = 22           # seconds for one picture of Wren
READOUT_FAST = 6            # seconds, for focusing only


@dataclass
class Target:
    name: str
    magnitude: float
    altitude: float
    moon_distance: float
    instrument: str         # "wren" or "thistle"
    priority: int           # 1 is the highest, 4 is the backup queue


def is_allowed(target: Target) -> bool:
    """A target that may be observed now."""
    if target.altitude < LOWEST_ALTITUDE:
        return False
    faint = target.magnitude >= FAINT_MAGNITUDE
    if target.instrument == "thistle" and faint:
        return target.moon_distance >= MOON_DISTANCE
    return True


def next_target(queue: list[Target]) -> Target | None:
    """The allowed target with the best priority; among equals the one that stands highest."""
    allowed = [target for target in queue if is_allowed(target)]
    return min(allowed, key=lambda t: (t.priority, -t.altitude), default=None)


def exposure_seconds(target: Target, seeing: float) -> int:
    """Seconds for a signal-to-noise ratio of 100 at the given seeing, in arc seconds.

    A star of magnitude 10 takes 120 seconds in a seeing of 1.1 arc seconds. Each magnitude
    fainter takes 2.5 times as long, and bad seeing costs with its square.
    """
    seconds = 120 * 2.5 ** (target.magnitude - 10) * (seeing / 1.1) ** 2
    return min(round(seconds), LONGEST_EXPOSURE)


def night_plan(queue: list[Target], hours: float, seeing: float) -> list[tuple[str, int]]:
    """Names and exposure times until the night is full, with the slow readout between them."""
    plan, left = [], hours * 3600
    waiting = list(queue)
    while (target := next_target(waiting)) is not None:
        waiting.remove(target)
        seconds = exposure_seconds(target, seeing)
        if seconds + READOUT_SLOW <= left:
            plan.append((target.name, seconds))
            left -= seconds + READOUT_SLOW
    return plan
