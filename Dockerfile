# The image in which nni_config/kubernetes.yml runs its trials: docker build --tag REGISTRY/lesion-nas .
# It holds the program only: no images, no results.
FROM python:3.11-slim
WORKDIR /opt/lesion-nas
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY search_space search_space
COPY strategies strategies
COPY trials trials
COPY nni_config nni_config
RUN python3 -m pip install --no-cache-dir --constraint constraints.txt '.[methods,dicom]'
ENV OMP_NUM_THREADS=1
