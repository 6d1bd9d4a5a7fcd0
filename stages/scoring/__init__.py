"""Scores of predicted entities: counts, intervals, slices, mistakes, calibration."""
