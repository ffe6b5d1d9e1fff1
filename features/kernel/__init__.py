"""The compiled heart of the customer core: packed records and a batch of events in, new records and feature rows out.

`advance` makes one pass per customer, in log order: unpack the record, apply its events, fire the timers that the
clock has reached in between, write a feature row for every event and timer that somebody asks about, pack the record
again. Nothing here reads a clock or changes what it was given, so a call can be repeated.

`features/record.py` documents the bytes of a record and holds the plain twin of unpacking.
"""
