"""The benchmarks run: on small pictures, whatever the figures."""

import sys

import pytest
from conftest import ROOT, random_picture

sys.path.insert(0, str(ROOT / "benchmarks"))


def test_lbfgs():
    import lbfgs

    numbers = lbfgs.measure(32, 5, 1)
    assert len(numbers) == 5 and min(numbers[0], numbers[4]) > 0


def test_grain():
    """Of a picture of one colour there is none; of grey noise there is, but none of colour."""
    import grain

    noise = random_picture(32, 40)[..., :1].repeat(3, 2)
    assert grain.grain(0 * noise + 7) == [0, 0]
    everything, colour = grain.grain(noise)
    assert everything > 5 and colour == pytest.approx(0, abs=1e-6)
