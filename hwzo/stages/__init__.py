"""The weight layers of a network: what each makes of its one matrix."""

from hwzo.stages.convolution import Convolution
from hwzo.stages.dense import Dense
from hwzo.stages.notation import parse_stages
from hwzo.stages.recurrent import Recurrent
from hwzo.stages.stage import Activate, Read, Stage

__all__ = ["Activate", "Convolution", "Dense", "Read", "Recurrent", "Stage", "parse_stages"]
