"""What one run does, from the images in a folder to a report: the Python API of the command `lesion-nas`.

Each name is loaded when it is first asked for: `import trials` takes no torch, and neither do settings, data
and splits. The verbs are the functions that the command calls, under short names.

    settings = load_settings("quick")
    split = Split.load("images", settings, folds=5, fold=0)
    metrics = train(split, settings, "hog", "runs/fold0/hog")
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

# As search_space does, for modules that import NNI before it: of two names that NNI takes for modules.
# Harmless.
warnings.filterwarnings(
    "ignore", r"<class 'torch\.nn\.(parameter|modules\.linear_cross_entropy_options)\.", RuntimeWarning
)

if TYPE_CHECKING:
    from trials.data.load import load_data, load_external
    from trials.data.split import Split
    from trials.export.export import run_export as export_model
    from trials.inference.explain import run_explain as explain
    from trials.inference.predict import run_predict as predict
    from trials.models.model_file import load_model
    from trials.pipeline.evaluate import run_evaluate as evaluate
    from trials.pipeline.search import run_search as search
    from trials.pipeline.train import run_retrain as retrain
    from trials.pipeline.train import run_train as train
    from trials.report.report import run_report as write_report
    from trials.settings.load import load_settings
    from trials.studies.run import run_study as study

    __version__: str

__all__ = [
    "Split",
    "__version__",
    "evaluate",
    "explain",
    "export_model",
    "load_data",
    "load_external",
    "load_model",
    "load_settings",
    "predict",
    "retrain",
    "search",
    "study",
    "train",
    "write_report",
]
_HOMES = {  # `report` and `export` are packages here, so that their verbs have longer names
    "Split": ("data.split", "Split"),
    "evaluate": ("pipeline.evaluate", "run_evaluate"),
    "explain": ("inference.explain", "run_explain"),
    "export_model": ("export.export", "run_export"),
    "load_data": ("data.load", "load_data"),
    "load_external": ("data.load", "load_external"),
    "load_model": ("models.model_file", "load_model"),
    "load_settings": ("settings.load", "load_settings"),
    "predict": ("inference.predict", "run_predict"),
    "retrain": ("pipeline.train", "run_retrain"),
    "search": ("pipeline.search", "run_search"),
    "study": ("studies.run", "run_study"),
    "train": ("pipeline.train", "run_train"),
    "write_report": ("report.report", "run_report"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lesion-nas")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"trials.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # a notebook completes names that are not loaded yet
