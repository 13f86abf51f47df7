"""Reads run folders; imports no torch."""
