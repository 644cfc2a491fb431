"""`python -m askonce` is `askonce`."""

from askonce.cli import app

# Worker processes import this module anew, under another name.
if __name__ == "__main__":
    app(prog_name="askonce")
