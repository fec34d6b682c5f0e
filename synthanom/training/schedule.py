"""The learning rate over the steps."""

from synthanom.training.config import OptimiserConfig


def rate_factor(step: int, settings: OptimiserConfig) -> float:
    """Factor of the learning rate at a step, counted from 0.

    Linear from `warmup_start` to 1 over `warmup_steps`, then times `decay` each step, never under `floor`.
    """
    if step < settings.warmup_steps:
        return settings.warmup_start + (1.0 - settings.warmup_start) * step / settings.warmup_steps
    return max(settings.decay ** (step - settings.warmup_steps), settings.floor)
