"""What runs: one module a verb, alike from the `lesion-nas` command and as an NNI trial, on `trials.data`."""
