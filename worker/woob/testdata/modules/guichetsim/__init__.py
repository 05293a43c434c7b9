"""A woob module for the simulated bank: what a module of a real bank is like."""

from .module import GuichetSimModule

__all__ = ["GuichetSimModule"]
