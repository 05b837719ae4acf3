"""What runs: one module a verb, alike from the `lesion-nas` command and as an NNI trial, on `trials.data`."""

import warnings

# As search_space does, for modules that import NNI before it: of two names that NNI takes for modules.
# Harmless.
warnings.filterwarnings(
    "ignore", r"<class 'torch\.nn\.(parameter|modules\.linear_cross_entropy_options)\.", RuntimeWarning
)
