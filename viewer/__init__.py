"""The viewer: a scene in the browser, while it trains and afterwards, and pages to share it."""
