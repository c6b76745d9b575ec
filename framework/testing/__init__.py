"""Conformance checks for components, and probe environments."""

from framework.testing.conformance import Case, Report, Result, cases, conformance, run
from framework.testing.subject import Skip, Subject, subject

__all__ = ["Case", "Report", "Result", "Skip", "Subject", "cases", "conformance", "run", "subject"]
