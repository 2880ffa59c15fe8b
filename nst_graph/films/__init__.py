"""Films: a clip's frames, what moves between them, and a film painted frame by frame."""
