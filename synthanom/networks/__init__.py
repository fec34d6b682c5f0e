"""Networks and position channels; no training code. Importing this package does not import torch."""
