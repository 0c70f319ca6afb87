"""What `docs/draw_concepts.py` draws, one file a subject. May import splat, as a user of the library would, and matplotlib."""

import splat as splat  # before torch: it keeps torch's threads from spinning
