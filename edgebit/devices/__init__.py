"""Byte links to boards, real or emulated, and the protocol spoken over them."""
