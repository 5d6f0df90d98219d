# The types of blocks that products have kernels for: a runtime compiles a file for each.
set(OUTPOST_BLOCKS
    BlockQ4_0 BlockQ4_1 BlockQ5_0 BlockQ5_1 BlockQ8_0 BlockIQ4_NL BlockMXFP4 BlockQ2_K BlockQ3_K BlockQ4_K BlockQ5_K
    BlockQ6_K BlockQ8_K BlockIQ4_XS BlockTQ1_0 BlockTQ2_0 BlockIQ2_XXS BlockIQ2_XS BlockIQ2_S BlockIQ3_XXS BlockIQ3_S
    BlockIQ1_S BlockIQ1_M WideQ8_0 WideQ6_K)
