"""Speed: searches, trainings and the whole job, against the machine, plain PyTorch and NNI."""
