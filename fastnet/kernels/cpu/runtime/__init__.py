"""What every kernel needs to run.

`jit` compiles and launches, `cache` keeps machine code on disk, `array` lends memory, `replay` runs launches again,
`watch` tells whether arrays have changed, `atomic` lets threads count together.
"""
