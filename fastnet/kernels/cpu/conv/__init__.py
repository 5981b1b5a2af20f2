"""Convolution. docs/convolution.md is a way through these files, with the numbers of one layer.

    ops                 the operations: checks, and the choice of the way that a pass is computed in
    passes              each pass of each way, put together from what follows
    geometry, operands  the shapes of a convolution; the arrays that its kernels are given
    direct              y, or dx, by register tiles that find their pixels through tables; direct_tables makes these
    direct_weight       dw and db the same way; matrix_weight: of 1x1 kernels and linear layers
    winograd            y, or dx, in Winograd's form, to which winograd_filters and winograd_patches bring w and x
    winograd_weight     dw and db the same way, with kernels in a file of their own
    amx                 y, or dx, from bfloat16 numbers where the processor multiplies whole matrices of them;
                        amx_weight: dw and db; amx_layout: how pixels lie for it
    depthwise           y, or dx, where groups are of few channels, or each has a filter of its own; depthwise_weight:
                        dw and db
    stem                y where images have few channels
    packing, padding    weights and images in the order in which tiles read them; bfloat16: as words of two such numbers
    collect             what becomes of the parts of a direct dw
    prefetch            memory that is needed next, fetched meanwhile
"""
