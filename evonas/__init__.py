"""Architecture search by evolution over a supernet that is fine-tuned along the search."""

__version__ = "0.1.0"
