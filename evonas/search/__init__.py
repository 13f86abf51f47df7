"""Evolutionary search: ask/tell algorithms, the loop, and the guard on fitness. No torch."""
