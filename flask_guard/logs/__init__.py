"""What is written to the log: how a line looks (`format`), what is masked in it (`scrub`), one line a
request (`access`).
"""
