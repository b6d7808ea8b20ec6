"""Rooms by verb; each room's ``__init__`` says what lives there and what may import it."""
