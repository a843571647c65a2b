"""What the tests of training share."""
import pytest
import torch


@pytest.fixture
def same_numbers(monkeypatch):
    "Let a graphics card calculate as the processor does: in 32 bits, which it else shortens to 19 or to 16."
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    monkeypatch.setattr('imgcls.training.finetune.training_precision', lambda *a: (torch.float32, 'fp32'))
