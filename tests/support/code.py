"""A fact about the code that several tests use."""

# What stages import but decides no byte of what they write: where things are kept, how they are shown, how
# they fail, what is recorded. A change here must not train a model again.
DECIDES_NOTHING = ("common.", "tracking.")
