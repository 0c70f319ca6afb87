"""PSNR and SSIM of images with known errors."""

import math

import pytest
import torch

from splat.image_metrics import psnr, ssim


def test_psnr_of_a_known_error():
    image = torch.zeros(4, 5, 3)
    assert psnr(image, image + 0.1) == pytest.approx(20)
    assert psnr(image, image) == math.inf


def test_only_used_pixels_count():
    image = torch.rand(12, 16, 3, generator=torch.Generator().manual_seed(0))
    other, used = image.clone(), torch.ones(12, 16, dtype=torch.bool)
    other[3:5], used[3:5] = 0.0, False
    assert psnr(image, other) < 30 and psnr(image, other, used) == math.inf
    assert ssim(image, image) == pytest.approx(1) and ssim(image, other) < ssim(image, other, used) < 1
