"""A checkpoint of another run is refused with the reason, whatever PyTorch wraps it in."""

import pytest
import torch
from expect import refused

from glimpse.checkpoint import own_checkpoint


def test_the_reason_is_told_in_a_line() -> None:
    wanted = "the checkpoint must be this agent's, got another ('step'): resume with"
    with refused(wanted), own_checkpoint():
        {}["step"]
    one, other = torch.nn.Linear(2, 1), torch.nn.Linear(3, 1)
    wanted = "got another (size mismatch for weight: copying a param with shape"
    with refused(wanted), own_checkpoint():
        one.load_state_dict(other.state_dict())
    with refused("got another ()"), own_checkpoint():
        raise ValueError(" ")


def test_what_fits_and_what_is_no_checkpoints_fault_passes() -> None:
    with own_checkpoint():
        fits = int("3")
    assert fits == 3
    with pytest.raises(KeyboardInterrupt), own_checkpoint():
        raise KeyboardInterrupt
