"""The colours of pictures, all of which the colour-blind tell apart or need not (Okabe, Ito)."""

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (30, 30, 30)
FAINT: Colour = (120, 120, 120)
EMPTY: Colour = (225, 225, 225)  # what is not filled of a bar

# Of answers; what is told by them is told otherwise, too.
RIGHT: Colour = (0, 128, 60)
WRONG: Colour = (200, 30, 30)

# Of gains below and above 1, and of how far they differ.
LESS: Colour = (0, 114, 178)
MORE: Colour = (213, 94, 0)
SPREAD: Colour = (72, 28, 108)
