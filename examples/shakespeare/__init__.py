"""Verse after Shakespeare: a BitNet language model of three million weights, small enough for a Raspberry Pi Pico."""
