"""Photos with what each method made of them, as a grid that follows the width of the window."""

import base64
import html

from pading.evaluate.panel_files import Panels, PicturedClass, PicturedImage


def picture_grid(panels: Panels) -> str:
    """Return one block an image: photo, truth and maps, and which classes are on it."""
    return "\n".join(_image(one, panels.headings) for one in panels.images)


def _image(image: PicturedImage, headings: tuple[str, ...]) -> str:
    cells = "".join(
        f'<figure><img decoding=async alt="{html.escape(f"image {image.image_id}: {heading}", quote=True)}" '
        f"src='data:image/webp;base64,{base64.b64encode(cell).decode()}'>"
        f"<figcaption>{html.escape(heading)}</figcaption></figure>"
        for heading, cell in zip(headings, image.cells, strict=True)
    )
    legend = "".join(map(_legend, sorted(image.classes, key=lambda one: one.is_seen)))
    return f"<div class=picture><div class=cells>{cells}</div><p class=legend>In the photo: {legend}</p></div>"


def _legend(one: PicturedClass) -> str:
    name = html.escape(one.name) if one.is_seen else f"<b>{html.escape(one.name)} *</b>"
    kind = "swatch" if one.is_seen else "swatch unseen"
    paint = html.escape(one.colour, quote=True)
    return f"<span class=named><i class='{kind}' style='background:{paint}'></i>{name}</span> "
