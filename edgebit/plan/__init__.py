"""Kernel choice by cost, the arena, and the account of flash, RAM and stack."""
