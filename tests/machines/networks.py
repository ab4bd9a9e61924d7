"""Hidden matrices of transformers, by the shapes that their papers state."""

from collections.abc import Mapping, Sequence

import attrs

Shape = tuple[int, int]


@attrs.frozen
class Network:
    """Matrices of a decoder; embedding and head are usually left to an entry-wise rule.

    Args:
        name: what it is called here. like: a published network of this shape, and its source.
        layers: how many. width: of the residual stream. keys: rows of keys, and of values.
        hidden: rows of the gate and of the way up. vocabulary: rows of the embedding.
    """

    name: str
    like: str
    layers: int
    width: int
    keys: int
    hidden: int
    vocabulary: int

    @property
    def counts(self) -> Mapping[Shape, int]:
        """How many matrices there are of each shape, outputs × inputs."""
        d, k, f = self.width, self.keys, self.hidden
        found: dict[Shape, int] = {}
        for shape in ((d, d), (k, d), (k, d), (d, d), (f, d), (f, d), (d, f)):
            found[shape] = found.get(shape, 0) + self.layers
        return found

    @property
    def matrices(self) -> Sequence[Shape]:
        """The shape of each matrix."""
        return [shape for shape, count in self.counts.items() for _ in range(count)]

    @property
    def entries(self) -> int:
        """How many numbers they have."""
        return sum(m * n for m, n in self.matrices)


NETWORKS = (
    Network("1 B", "Llama 3.2 1B (arXiv:2407.21783)", 16, 2048, 512, 8192, 128256),
    Network("7 B", "Llama 2 7B (arXiv:2307.09288)", 32, 4096, 4096, 11008, 32000),
    Network("70 B", "Llama 2 70B (arXiv:2307.09288)", 80, 8192, 1024, 28672, 32000),
)
