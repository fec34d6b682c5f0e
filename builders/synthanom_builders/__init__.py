"""Builders of synthanom data sets."""
