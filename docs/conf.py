"""How the documentation is built: Sphinx over Markdown, offline, a warning being an error.

Pages are picked up by the patterns in index.md and need no entry here.
"""

import logging
from importlib.metadata import version as installed_version

project = "flask-guard-kit"
release = installed_version("flask-guard-kit")
version = release

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
# A part of the documentation may have no page yet. Sphinx 9 gives that warning a subtype but no type,
# so suppress_warnings cannot name it.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", None) != "empty_glob"
)

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
