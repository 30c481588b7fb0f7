"""Faults injected into the installed job, and what is left of the workspace afterwards.

A short form of each row runs in `make test`; `make test-faults` runs the long form and writes docs/reliability.md.
"""
