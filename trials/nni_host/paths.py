"""Where NNI's web UI looks for what a trial leaves.

NNI gives a trial ``$NNI_OUTPUT_DIR``, which is ``EXPERIMENT/environments/ENV/trials/TRIAL``. The network view
reads ``model.onnx`` there; the TensorBoard button reads ``EXPERIMENT/trials/TRIAL/output/tensorboard``.
(Local training service of NNI 3.0's manager: ``V3asV1.getTrialFile`` and ``getTrialOutputLocalPath``.)
"""

import os
from pathlib import Path

LAUNCH_LOCK, SETTINGS_FILE = ".launch.lock", "settings.json"  # in the output folder of an experiment


def on_another_host() -> bool:
    """Whether this is a trial elsewhere than on the machine of NNI's manager.

    It may have been moved here from a host that was lost, and that may still be writing to its run folder.
    """
    return os.environ.get("NNI_PLATFORM") in ("remote", "kubeflow")


def network_view_file() -> Path | None:
    """Return where the web UI's network view reads ``model.onnx``, or None outside an NNI trial."""
    output = os.environ.get("NNI_OUTPUT_DIR")
    return Path(output) / "model.onnx" if output else None


def tensorboard_directory() -> Path | None:
    """Return the folder that the web UI's TensorBoard button shows; None outside this machine's trials."""
    if on_another_host():
        return None
    output, trial = os.environ.get("NNI_OUTPUT_DIR"), os.environ.get("NNI_TRIAL_JOB_ID")
    if not output or not trial:
        return None
    experiment = Path(output).parents[3]
    return experiment / "trials" / trial / "output" / "tensorboard"
