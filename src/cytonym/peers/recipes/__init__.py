"""What runs inside the process of a competitor.

``worker.py`` is started as a file, under a Python that may lack cytonym: its neighbours are
imported by their plain names, and only ``own.py`` imports cytonym.
"""
