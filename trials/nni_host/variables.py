"""The variables by which an experiment tells its trials what it is of; `trials.stage` reads them."""

VARIABLES = {  # by option of `trials.stage`
    "data": "LESION_NAS_DATASET",
    "out": "LESION_NAS_OUT",
    "profile": "LESION_NAS_PROFILE",
    "architecture": "LESION_NAS_ARCHITECTURE",
    "external": "LESION_NAS_EXTERNAL",
    "group_column": "LESION_NAS_GROUP_COLUMN",
    "accept": "LESION_NAS_ACCEPT",
    "settings": "LESION_NAS_SETTINGS",
}
