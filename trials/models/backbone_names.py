"""Names of networks of timm and torchvision: as a user gives them, and as methods, runs and files do.

A user writes `timm:convnext_atto.d2_in1k`, as both libraries may have a network of one name. Columns of
published tables join method and seed by a colon, so that the method is called `timm-convnext_atto.d2_in1k`.
"""

from __future__ import annotations

import difflib
import re
from typing import get_args

from trials.errors import SettingsError, install
from trials.models.specs import Backbone, Library

PUBLISHED, RANDOM = "published", "random"  # values of `backbone.weights` that are no file
_NAMED = re.compile(rf"({'|'.join(get_args(Library))})[:-](.+)")
_FROZEN = re.compile(r"features[:-](.+)")
_LITE0 = Backbone(library="timm", name="tf_efficientnet_lite0")  # as `efficientnet_lite0`


def backbone_named(method: str) -> Backbone | None:
    """Return the network that a method's name stands for, in either form; None for another method.

    Raises `SettingsError` for a network that its library does not have, and where that is not installed.
    """
    named = _NAMED.fullmatch(method)
    if named is None:
        return None
    known = _names(named[1])
    if named[2] not in known:
        close = difflib.get_close_matches(named[2], known, 3)
        nearest = f" (nearest: {', '.join(close)})" if close else ""
        raise SettingsError(
            f"{method}: {named[1]} has no network {named[2]!r}{nearest}; it names all that it has: python -c "
            f"'{_LISTS[named[1]]}'"
        )
    return Backbone.model_validate({"library": named[1], "name": named[2]})


def frozen_named(method: str) -> Backbone | None:
    """Return the network whose frozen features a method's name stands for, such as `features:timm:resnet18`.

    None for another method. Raises `SettingsError` as `backbone_named`, and for what is no such network.
    """
    named = _FROZEN.fullmatch(method)
    if named is None:
        return None
    found = _LITE0 if named[1] == "efficientnet_lite0" else backbone_named(named[1])
    if found is None:
        raise SettingsError(
            f"{method}: {named[1]} has no published weights here; name features:efficientnet_lite0, "
            "features:timm:NAME or features:torchvision:NAME"
        )
    return found


_LISTS = {
    "timm": "import timm; print(*timm.list_models(pretrained=True))",
    "torchvision": "import torchvision.models as m; print(*m.list_models(m))",
}


def _names(library: str) -> list[str]:
    """Return a library's classifiers; importing it takes seconds."""
    try:
        if library == "timm":
            import timm

            return [*timm.list_models(), *timm.list_models(pretrained=True)]
        from torchvision import models

        return models.list_models(models)
    except ModuleNotFoundError:
        raise SettingsError(
            f"{library} is not installed, and comes with the extra methods: {install('methods')}"
        ) from None
