"""`glimpse train dasnet`: a policy that sets the gains of a frozen network, found by evolution.

Under `torchrun` all processes share the population; the first writes the run's folder.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from glimpse.agents import BaseConfig, Dasnet, DasnetConfig, DasnetLearner, portion
from glimpse.bases import Base, find_network, save_base
from glimpse.device import find_device
from glimpse.envs import FeedbackConfig, build_feedback
from glimpse.feedback import FeedbackBatch
from glimpse.maxout import MaxoutNetwork
from glimpse.processes import Processes, joined
from glimpse.run_folder import RunFolder

from .dasnet_report import gain_picture, print_passes, to_json
from .job import Job, Trainer, do, interrupted, new_place
from .options import FolderOptions, ImageOptions, given
from .train_base import as_yaml, train_base

_EXAMPLES = 1000  # training images by which observations are standardised
