"""Where a run computes what is independent of each other: in this process, in others beside it, or on a Ray cluster.

Results do not depend on it: workers compute with the threads, layout and precision that the run records.
"""
