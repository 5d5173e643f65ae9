"""A fact about the code that several tests use."""

# Folders that stages import but that decide no byte of their outputs: paths, output on the screen, errors,
# records. A change here must not train a model again.
DECIDES_NOTHING = ("common.", "tracking.")
