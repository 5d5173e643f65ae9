"""What is measured, against whom, and how: `make bench`.

Why: a claim about speed is worth something if anyone can repeat it. Contestants take turns on one
machine, step by step, and steps during which somebody else used it do not count.
"""
