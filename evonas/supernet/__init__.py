"""What one does with a supernet: choose paths, train, measure, extract."""
