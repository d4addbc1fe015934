"""python -m trainer"""

from trainer.cli import script

script()
