"""The console: pages for people, made here and sent as HTML. Each page is a module."""
