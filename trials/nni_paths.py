"""Where NNI's web UI looks for what a trial leaves.

NNI gives a trial ``$NNI_OUTPUT_DIR``, which is ``EXPERIMENT/environments/ENV/trials/TRIAL``. The network view
reads ``model.onnx`` there; the TensorBoard button reads ``EXPERIMENT/trials/TRIAL/output/tensorboard``.
(Local training service of NNI 3.0's manager: ``V3asV1.getTrialFile`` and ``getTrialOutputLocalPath``.)
"""

import os
from pathlib import Path


def network_view_file() -> Path | None:
    """Return where the web UI's network view reads ``model.onnx``, or None outside an NNI trial."""
    output = os.environ.get("NNI_OUTPUT_DIR")
    return Path(output) / "model.onnx" if output else None


def tensorboard_directory() -> Path | None:
    """Return the folder that the web UI's TensorBoard button shows, or None outside an NNI trial."""
    output, trial = os.environ.get("NNI_OUTPUT_DIR"), os.environ.get("NNI_TRIAL_JOB_ID")
    if not output or not trial:
        return None
    experiment = Path(output).parents[3]
    return experiment / "trials" / trial / "output" / "tensorboard"
