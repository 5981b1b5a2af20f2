"""Convolution: `ops` checks and chooses the way that each pass is computed in, `passes` has the ways, the other files
the kernels that they are made of."""
