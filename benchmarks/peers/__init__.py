"""What `make bench-peers` measures: trainings and loaders beside those of fastai, Lightning, timm and plain PyTorch.

task.py states the works. A contestant is one file: with_ours.py, with_plain.py, with_lightning.py, with_fastai.py and
with_timm.py, each at its defaults and at the fastest settings that its documentation knows.
"""
