"""ICC profiles, built by the specification (ICC.1), for tests of colours."""

import struct

import numpy as np
from PIL import ImageCms
from skimage import color


def fixed(*numbers):
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def profile(space, tags, connection=b"XYZ ", kind=b"mntr"):
    """An ICC profile, version 2.4, of these tags."""
    header = bytes(4) + bytes.fromhex("02400000") + kind + space + connection + bytes(12) + b"acsp" + bytes(28)
    header += fixed(0.9642, 1.0, 0.8249) + bytes(48)
    table, data = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    return struct.pack(">I", 4 + len(header) + len(table) + len(data)) + header + table + data


def gamma(number):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(number * 256))


def table(function, count=1024):
    return (
        b"curv"
        + struct.pack(">II", 0, count)
        + np.rint(65535 * function(np.linspace(0, 1, count))).astype(">u2").tobytes()
    )


def parametric(kind, *numbers):
    return b"para" + struct.pack(">IHH", 0, kind, 0) + fixed(*numbers)


SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
#: Of each space the chromaticities of red, green, blue and white.
PRIMARIES = {
    "srgb": ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.3127, 0.329)),
    "p3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)),
    "adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.329)),
    "prophoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585)),
}


def matrix_profile(space, curve):
    """RGB with these primaries, brought to D50 by Bradford's method."""
    *primaries, white = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in PRIMARIES[space])
    to_xyz = np.stack(primaries, axis=1)
    to_xyz = to_xyz * np.linalg.solve(to_xyz, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = (bradford @ (0.9642, 1.0, 0.8249)) / (bradford @ white)
    columns = (np.linalg.inv(bradford) @ np.diag(scale) @ bradford @ to_xyz).T
    tags = {
        name: b"XYZ " + bytes(4) + fixed(*column)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    }
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def cmyk_profile():
    """A press whose inks multiply what sRGB's complements let through, a little warm, as a table."""
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    rgb = (1 - 0.9 * inks[:, :3]) * (1 - 0.95 * inks[:, 3:]) * (1, 0.97, 0.9)
    lab = color.rgb2lab(rgb)  # neutral where the inks are, whatever the white
    stored = np.rint(np.clip(lab * (2.55, 1, 1) + (0, 128, 128), 0, 255)).astype(np.uint8)
    straight = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 5, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += straight * 4 + stored.tobytes() + straight * 3
    return profile(b"CMYK", {b"A2B0": lut}, b"Lab ", b"prtr")


def grey_profile(curve):
    return profile(b"GRAY", {b"kTRC": curve, b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249)})


WIDE = {
    "Display P3": matrix_profile("p3", SRGB_CURVE),
    "Adobe RGB": matrix_profile("adobe", gamma(2.19921875)),
    "ProPhoto": matrix_profile("prophoto", table(lambda x: np.where(x < 1 / 32, x / 16, x**1.8))),
    "linear": matrix_profile("prophoto", gamma(1.0)),
}
SRGB = {
    "ImageCms's": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "as a table": matrix_profile(
        "srgb", table(lambda x: np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4))
    ),
}
