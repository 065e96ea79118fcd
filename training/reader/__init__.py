"""The plate reader's network, its samples, training, export and measurement."""
