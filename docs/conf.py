"""Sphinx: Markdown by MyST, the theme furo. Built with ``make docs``, warnings as errors."""

from flask_carafe import __version__

project = "Flask-Carafe"
author = "The Flask-Carafe authors"
copyright = "2026, The Flask-Carafe authors"
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
suppress_warnings = ["myst.strikethrough"]

html_theme = "furo"
html_title = f"Flask-Carafe {version}"
html_static_path = ["_static"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0a6277", "color-brand-content": "#0a6277"},
    "dark_css_variables": {"color-brand-primary": "#6cc7d5", "color-brand-content": "#6cc7d5"},
}
pygments_style, pygments_dark_style = "sphinx", "monokai"
