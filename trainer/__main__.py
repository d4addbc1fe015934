"""python -m trainer"""

from trainer.cli.main import script

script()
