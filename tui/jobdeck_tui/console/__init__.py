"""The console: every job live in panes. ``main.run`` starts it."""
