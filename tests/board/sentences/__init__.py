"""Sentences of the core, from the functions that write them, for tests of the board's phrasebook."""
