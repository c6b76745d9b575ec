"""Callbacks: what may stop a run early."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_callbacks(register: Register) -> None:
    """Offer early stopping."""
    register(
        "early_stopping",
        "framework_callbacks.early_stopping:EarlyStopping",
        config="framework_callbacks.config:EarlyStoppingConfig",
        summary="Stops a run whose evaluations have reached a return, or do not improve any more.",
    )
