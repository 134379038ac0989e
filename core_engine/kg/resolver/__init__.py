"""Decides which names mean the same: by rules, and by a model where rules can't tell."""
