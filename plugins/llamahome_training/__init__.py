"""Training: the loop, objectives, adapters, optimizers, schedules, the torch trainer."""
