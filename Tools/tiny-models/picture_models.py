"""The picture models by the name of their family."""

from picture_model import PictureModel
from tiny_flux import TinyFlux
from tiny_sd3 import TinySD3

FAMILIES: dict[str, type[PictureModel]] = {"flux": TinyFlux, "sd3": TinySD3}
