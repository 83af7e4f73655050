"""Sizes of the picture models that scripts need without loading PyTorch."""

TEXT_TOKENS = 16  # T5's; also what the pipelines get as max_sequence_length
FLUX_CLIP_TOKENS = 77
SD3_CLIP_TOKENS = 18  # SD3 has as many CLIP tokens as T5 tokens in its text stream: 77 would cost
LATENT_CHANNELS = 16
TOKEN_CHANNELS = 4 * LATENT_CHANNELS  # a token is 2 x 2 latents, which are 8 x 8 pixels
GRID = 16  # tokens per side of a 128-pixel picture
IMAGE_TOKENS = GRID * GRID
# Of the noise that evaluation draws for a family whose pipeline packs latents; the others draw it
# in the latents' own shape.
PACKED_NOISE_SHAPES = {"flux": [1, IMAGE_TOKENS, TOKEN_CHANNELS]}
