"""The viewer: scenes in the browser, also while they train (a viser application), and pages to share them."""
