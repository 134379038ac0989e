"""Runs of `kg` that are killed, lied to and cut off, held against an undisturbed one."""
