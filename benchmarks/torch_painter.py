"""The same objective in plain PyTorch, minimised as neural-style-pt does: what we measure against."""

import time

import numpy as np
import torch
import torch.nn.functional as functional

from nst_graph.weights import Conv, Relu

#: neural-style-pt's default for -lbfgs_num_correction.
CORRECTIONS = 100


class TorchObjective:
    """Equations 1 to 7 for one content and one style, in float32."""

    def __init__(self, network, content, style, settings):
        self.settings, self.layers = settings, []
        for layer in network.layers:
            if isinstance(layer, Conv):
                kernel = torch.from_numpy(layer.kernel.transpose(3, 2, 0, 1).copy())
                self.layers.append(("conv", layer.name, kernel, torch.from_numpy(layer.bias)))
            else:
                self.layers.append(("relu" if isinstance(layer, Relu) else "pool", layer.name))
        self.mean = torch.from_numpy(network.mean)[None, :, None, None]
        with torch.no_grad():
            features = self.features(self.tensor(content))
            self.wanted = {name: features[name] for name in settings.content_layers}
            features = self.features(self.tensor(style))
            self.grams = {name: self.gram(features[name]) for name in settings.style_layers}

    @staticmethod
    def tensor(picture):
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32))

    @staticmethod
    def gram(features):
        rows = features.flatten(2)[0]
        return rows @ rows.T

    def features(self, picture):
        tensor, features = picture - self.mean, {}
        for kind, name, *weights in self.layers:
            if kind == "conv":
                tensor = functional.conv2d(tensor, *weights, padding=1)
            elif kind == "relu":
                features[name] = tensor = functional.relu(tensor)
            else:
                tensor = functional.avg_pool2d(tensor, 2)
        return features

    def __call__(self, picture):
        """The total at a tensor [1, 3, height, width] that wants a gradient."""
        features, settings = self.features(picture), self.settings
        total = 0
        for name, weight in settings.content_layers.items():
            total = total + settings.alpha * weight * (features[name] - self.wanted[name]).square().sum() / 2
        for name, weight in settings.style_layers.items():
            filters, positions = features[name].shape[1], features[name][0, 0].numel()
            squares = (self.gram(features[name]) - self.grams[name]).square().sum()
            total = total + settings.beta * weight * squares / (4 * filters**2 * positions**2)
        return total


def lbfgs(objective, start, iterations, observe):
    """torch.optim.LBFGS as neural-style-pt sets it; `observe` gets each evaluation's time and loss."""
    picture = objective.tensor(start).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [picture], max_iter=iterations, max_eval=2 * iterations, tolerance_change=-1, tolerance_grad=-1,
        history_size=CORRECTIONS,
    )  # fmt: skip

    def closure():
        optimiser.zero_grad()
        loss = objective(picture)
        loss.backward()
        observe(time.monotonic(), float(loss.detach()))
        return loss

    optimiser.step(closure)
