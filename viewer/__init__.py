"""The viewer: scenes in the browser, also while they train. A viser application."""
