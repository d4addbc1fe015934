"""Light augmentation: what leaves an object the same object."""

from trainer.aug import colour, geometry
from trainer.aug.policy import ColourMap, GeometryMap, Policy
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees, Fraction


@AUGS.register
def light(
    *,
    flip: Fraction = 0.5,
    rotate: Degrees = 10.0,
    zoom: AtLeastOne = 1.1,
    shift: BelowOne = 0.06,
    crop: BelowOne = 0.0,
    crop_aspect: AtLeastOne = 1.0,
    brightness: BelowOne = 0.2,
    contrast: BelowOne = 0.2,
) -> Policy:
    """A little of everything: mirror, turn, zoom, shift, crop, brightness, contrast; each can be set to nothing.

    Edges are filled by reflection. What is set to nothing (0, or 1 for zoom and crop_aspect) costs no time.
    """
    geometry_maps: list[GeometryMap] = []
    if crop > 0 or crop_aspect > 1:
        geometry_maps.append(geometry.crop(crop, crop_aspect))
    if flip > 0:
        geometry_maps.append(geometry.flip(flip))
    if rotate > 0:
        geometry_maps.append(geometry.rotate(rotate))
    if zoom > 1:
        geometry_maps.append(geometry.zoom(zoom))
    if shift > 0:
        geometry_maps.append(geometry.shift(shift))
    colour_maps: list[ColourMap] = []
    if brightness > 0:
        colour_maps.append(colour.brightness(brightness))
    if contrast > 0:
        colour_maps.append(colour.contrast(contrast))
    return Policy(tuple(geometry_maps), tuple(colour_maps))
