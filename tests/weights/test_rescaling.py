"""Rescaled networks: mean activations of one, the same features but for their scales."""

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import MEAN, as_reference, random_picture, run_here

from nst_graph import weights
from nst_graph.commands import get_weights
from nst_graph.model import vgg


@pytest.mark.parametrize("weights_file", ["network_file", pytest.param("vgg19_file", marks=pytest.mark.thorough)])
def test_rescaling(request, weights_file, tmp_path):
    """Features are the original's over the scales; the mean activations are one; twice changes nothing."""
    (tmp_path / "images").mkdir()
    for seed in (1, 2):
        iio.imwrite(tmp_path / "images" / f"{seed}.png", random_picture(64, 80, seed).astype(np.uint8))
    (tmp_path / "vgg.mat").symlink_to(request.getfixturevalue(weights_file))
    assert get_weights.main(["rescale", str(tmp_path / "vgg.mat"), "--images", str(tmp_path / "images")]) == 0
    assert get_weights.main(["rescale", str(tmp_path / "vgg-rescaled.mat"), "--images", str(tmp_path / "images")]) == 0
    networks = [weights.read(tmp_path / f"{name}.mat") for name in ("vgg", "vgg-rescaled", "vgg-rescaled-rescaled")]
    shown = [random_picture(64, 80, seed).astype(np.uint8).astype(np.float32) for seed in (1, 2)]
    original, once = (vgg.mean_activations(network, shown) for network in networks[:2])
    picture = random_picture(48, 48, 3)
    features = []
    for network in networks:
        layers = as_reference(network)
        features.append(reference.features(layers, MEAN, picture, "average", reference.convolve_fast))
    for name, scale in original.items():
        # In the original's units: what rarely fires is a small difference of large float32 sums.
        np.testing.assert_allclose(once[name] * scale, scale, rtol=1e-4, atol=1e-5 * np.mean(scale))
        divided = features[0][name] / np.where(scale > 0, scale, 1)
        np.testing.assert_allclose(features[1][name], divided, rtol=1e-4, atol=1e-4 * divided.max())
        np.testing.assert_allclose(features[2][name], features[1][name], rtol=1e-4, atol=1e-4 * divided.max())


def test_rescaling_errors(network_file, tmp_path):
    for directory, words in ((tmp_path, "holds no picture"), ("/none", "no such directory")):
        done = run_here("get_weights.py", "rescale", network_file, "--images", directory)
        assert done.returncode == 2 and words in done.stderr and not list(tmp_path.iterdir())
