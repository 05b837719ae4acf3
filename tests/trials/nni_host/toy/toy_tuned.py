"""A trial of a second that reports its parameter; the assessor ends the poorest, which then waits for it."""

import time

import nni

from trials.nni_host.parameters import trial_parameters

x = trial_parameters()["x"]
for _ in range(3):
    nni.report_intermediate_result(x)
time.sleep(60 if x == 1 else 0)
nni.report_final_result(x)
