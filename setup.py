"""Metadata and extras of nst_graph."""

import re
from pathlib import Path

from setuptools import find_packages, setup

FIGURES = ["matplotlib>=3.8"]
NOTEBOOK = [*FIGURES, "ipykernel>=6.29", "ipywidgets>=8.1"]
MP4 = ["av>=18"]  # the first whose colours were tried
VIDEO = [*MP4, "opencv-python-headless>=4.10"]
MANY = ["distributed>=2025.1", "bokeh>=3.1"]  # bokeh draws the dashboard

VERSION = re.search('"(.*)"\n$', Path(__file__).with_name("nst_graph").joinpath("version.py").read_text())

setup(
    name="nst_graph",
    version=VERSION[1],
    description="A Neural Algorithm of Artistic Style (Gatys, Ecker, Bethge 2015) as a TensorFlow 1.x graph",
    packages=find_packages(include=["nst_graph*"]),
    package_data={
        "nst_graph": ["py.typed"],
        "nst_graph.commands": ["example-painting.jpg"],
        "nst_graph.figures": ["*.csv"],
        "nst_graph.runs": ["*.html"],
    },
    entry_points={
        "console_scripts": [
            "nst-paint=nst_graph.commands.paint:main",
            "nst-paint-many=nst_graph.commands.paint_many:main",
            "nst-paint-video=nst_graph.commands.paint_video:main",
            "nst-get-weights=nst_graph.commands.get_weights:main",
            "nst-studio=nst_graph.commands.studio:main",
            "nst-figures=nst_graph.commands.figures:main",
        ]
    },
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    install_requires=[
        # 2.21 is the first release tried here; 3 may end tensorflow.compat.v1.
        "tensorflow>=2.21,<3",
        # 1.15 rewrote L-BFGS-B in C; before, another line search took other steps.
        "scipy>=1.15",
        "numpy>=2",
        "imageio>=2.37",
        "pillow>=11.3",  # the first that reads AVIF
        "tifffile",  # 16-bit colour TIFF, which Pillow cannot read
        "filelock",
        "platformdirs",  # where an installed copy keeps weights
        "psutil",
        "threadpoolctl",  # keeps SciPy's BLAS from threads of its own
        "tqdm",
        "scikit-image>=0.24",  # colour spaces and histograms
        "shtab>=1.7",  # --print-completion
    ],
    extras_require={
        "vgg16": ["onnx>=1.17"],  # reads the package that scripts/get_weights.py vgg16 takes VGG-16 from
        "cuda": ["tensorflow[and-cuda]>=2.21,<3"],  # for a GPU
        "example": ["scikit-learn>=1.5"],  # carries the example's photograph
        "figures": FIGURES,  # losses.png, scripts/figures.py, docs/contact_sheet.py, benchmarks/run.py
        "mp4": MP4,  # --timelapse mp4
        "video": VIDEO,  # scripts/paint_video.py
        "heic": ["pillow-heif>=1"],  # reads HEIC
        "tensorboard": ["tensorboard>=2.20"],  # shows what --tensorboard writes
        "many": MANY,  # scripts/paint_many.py and figures.py on many machines
        "benchmarks": ["torch>=2.9"],  # what benchmarks/run.py measures against
        "studio": ["gradio>=6.31"],  # scripts/studio.py; the first that was tried
        "notebook": NOTEBOOK,  # Jupyter with a bar of its own, and what docs/paper.ipynb draws with
        "test": [
            *(*FIGURES, *VIDEO, *MANY, *NOTEBOOK),
            *("pytest", "pytest-xdist", "hypothesis", "mypy", "ruff", "selenium>=4.20", "nbclient>=0.10"),
        ],
    },
)
