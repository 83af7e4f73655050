"""Sizes of tiny-flux that scripts need without loading PyTorch."""

TEXT_TOKENS = 16  # T5's; also what FluxPipeline gets as max_sequence_length
CLIP_TOKENS = 77
LATENT_CHANNELS = 16
TOKEN_CHANNELS = 4 * LATENT_CHANNELS  # a token is 2 x 2 latents, which are 8 x 8 pixels
GRID = 16  # tokens per side of a 128-pixel picture
IMAGE_TOKENS = GRID * GRID
