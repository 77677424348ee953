"""Wrist motions from a six-axis IMU, four classes."""
