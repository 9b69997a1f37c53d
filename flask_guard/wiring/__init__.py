"""The composition root: settings in, a Runtime out. The only place that picks a class for a protocol.

`services` builds what requests use, `install` hooks it into the application, `lazy` has what waits for its
first use and what has to be renewed in a forked process.
"""
